"""What diffusers says of a LoRA in its header, where PEFT's files have no alphas."""

import json

import pytest
import torch

from lib_sdtune.artefacts import adapter_metadata, lora
from lib_sdtune.errors import UserError
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.networks.delta import delta

BLOCK = "down_blocks.1.attentions.0.transformer_blocks.0.attn1"
FACTS = {"unet.r": 4, "unet.lora_alpha": 8, "unet.alpha_pattern": {"attn1.to_k": 2, "^mid_block.proj": 1, "other": 5},
         "text_encoder.r": 2, "text_encoder.lora_alpha": 2, "text_encoder.use_rslora": True}
LAYERS = {"unet.{}.to_q": (4, 8), "unet.{}.to_k": (4, 2), "unet.mid_block.proj": (4, 1), "unet.x.mid_block.proj": (4, 8),
          "text_encoder.text_model.encoder.layers.0.self_attn.q_proj": (2, 2 * 2**0.5)}


def file(path, metadata):
    halves = {}
    for name, (rank, _) in LAYERS.items():
        halves[f"{name.format(BLOCK)}.lora_A.weight"] = torch.randn(rank, 32)
        halves[f"{name.format(BLOCK)}.lora_B.weight"] = torch.randn(32, rank)
    safetensors.write(path, halves, {adapter_metadata.KEY: metadata})
    return path, halves


def test_the_alphas_of_the_header_are_those_of_the_layers(tmp_path):
    path, halves = file(tmp_path / "a.safetensors", json.dumps(FACTS))
    layers = lora.read(path).layers
    for name, (rank, alpha) in LAYERS.items():
        module = name.format(BLOCK)
        tensors = layers[lora.key_and_tail(f"{module}.lora_A.weight")[0]]
        assert float(tensors["alpha"]) == pytest.approx(alpha), module
        expected = halves[f"{module}.lora_B.weight"] @ halves[f"{module}.lora_A.weight"] * alpha / rank
        assert torch.allclose(delta(tensors), expected, atol=1e-5)


def test_an_alpha_of_the_file_goes_first(tmp_path):
    tensors = {f"unet.{BLOCK}.to_q.lora_A.weight": torch.ones(4, 32), f"unet.{BLOCK}.to_q.lora_B.weight": torch.ones(32, 4),
               f"unet.{BLOCK}.to_q.alpha": torch.tensor(3.0)}
    safetensors.write(tmp_path / "a.safetensors", tensors, {adapter_metadata.KEY: json.dumps(FACTS)})
    (layer,) = lora.read(tmp_path / "a.safetensors").layers.values()
    assert float(layer["alpha"]) == 3


@pytest.mark.parametrize("metadata", [
    "{", '{"unet.r": "many"}', '{"unet.r": 4, "unet.alpha_pattern": {"(a+)+$": 1}}', '{"unet.r": 4, "unet.lora_alpha": []}'])
def test_what_cannot_be_read_is_said(tmp_path, metadata):
    path, _ = file(tmp_path / "a.safetensors", metadata)
    with pytest.raises(UserError, match=r"a\.safetensors has a lora_adapter_metadata"):
        lora.read(path)
