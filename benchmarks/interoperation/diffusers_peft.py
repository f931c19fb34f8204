"""diffusers with PEFT: its pipelines' loaders and what they save, on its own UNets and transformers' text encoders."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import nn

from benchmarks.interoperation import ours
from benchmarks.interoperation.ours import DIM, Model
from benchmarks.interoperation.result import Result, difference
from benchmarks.interoperation.text_encoders import text_encoders
from lib_sdtune.artefacts.lora import key_and_tail
from lib_sdtune.families.layer_names import kohya_keys

NAME = "diffusers + PEFT"
NETWORKS = ("lora",)
BLOCKS = {"down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
          "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3}
UNETS: dict[str, dict[str, Any]] = {
    "sd1": {**BLOCKS, "cross_attention_dim": 768, "attention_head_dim": 8},
    "sd2": {**BLOCKS, "cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20),
            "use_linear_projection": True},
    "sdxl": {"block_out_channels": (320, 640, 1280), "cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20),
             "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
             "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
             "transformer_layers_per_block": (1, 2, 10), "use_linear_projection": True,
             "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
             "projection_class_embeddings_input_dim": 2816}}
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
OF_TEXT = ["q_proj", "k_proj", "v_proj", "out_proj"]


class TheirModel:
    """parts: the prefix of a part's names in files -> the part."""

    def __init__(self, model: Model):
        with torch.device("meta"):
            unet = UNet2DConditionModel(**UNETS[model.name])
            texts = text_encoders(model.name)
        self.unet, self.text_encoders = unet, texts
        self.parts: dict[str, Any] = {"unet": unet, "text_encoder": texts[0]}
        if len(texts) > 1:
            self.parts["text_encoder_2"] = texts[1]
        self.pipeline: Any = StableDiffusionXLPipeline if model.name == "sdxl" else StableDiffusionPipeline
        self.keys, self.compared = kohya_keys(model), set(model.weights)
        for name, layer in self.named_layers():
            ours.fill(layer, model.weights.get(self.key(name)))
        for part in self.parts.values():
            ours.fill_the_rest(part)

    def named_layers(self) -> Iterator[tuple[str, Any]]:
        for prefix, part in self.parts.items():
            for name, layer in part.named_modules():
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    yield f"{prefix}.{name}", layer

    def key(self, name: str) -> str:
        """kohya's name of a layer."""
        key = key_and_tail(f"{name}.lora_A.weight")[0]
        return self.keys.get(key, key)

    def changes(self) -> dict[str, torch.Tensor | None]:
        """Key of every layer that has an adapter -> what it is changed by, of those that are compared: all of SDXL's
        are 10 GiB.
        """
        changes_by_key: dict[str, torch.Tensor | None] = {}
        for prefix, part in self.parts.items():
            for name, layer in part.named_modules():
                if hasattr(layer, "get_delta_weight") and layer.lora_A:
                    key = self.key(f"{prefix}.{name}")
                    changes_by_key[key] = None
                    if key in self.compared:
                        changes_by_key[key] = layer.double().get_delta_weight(next(iter(layer.lora_A))).detach()
        return changes_by_key


def ours_in_theirs(model: Model, network: str, folder: Path) -> Result:
    path = folder / f"ours-{model.name}-{network}.safetensors"
    changes = ours.write(path, model, network)
    their_model = TheirModel(model)
    tensors, alphas = their_model.pipeline.lora_state_dict(str(path), unet_config=their_model.unet.config)
    their_model.pipeline.load_lora_into_unet(tensors, alphas, their_model.unet, adapter_name="ours")
    for prefix, part in list(their_model.parts.items())[1:]:
        if model.name == "sdxl":
            chosen = {name: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}
        else:
            chosen = tensors
        their_model.pipeline.load_lora_into_text_encoder(chosen, alphas, part, prefix=prefix, adapter_name="ours")
    theirs = their_model.changes()
    left_over = tuple(target.key for target in model.targets if target.key not in theirs)
    apart = difference(changes, {key: change for key, change in theirs.items() if change is not None})
    return Result(NAME, model.name, network, "ours", len(theirs), left_over, len(changes), apart)


def theirs_in_ours(model: Model, network: str, folder: Path) -> Result:
    """As its training scripts make and save a LoRA: the rank is the alpha."""
    their_model = TheirModel(model)
    torch.manual_seed(2)
    saved = {}
    for prefix, part in their_model.parts.items():
        names = ATTENTION if prefix == "unet" else OF_TEXT
        part.add_adapter(LoraConfig(r=DIM, lora_alpha=DIM, init_lora_weights=False, target_modules=names))
        layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(part, adapter_name="default"))
        saved[f"{prefix}_lora_layers"] = layers
    their_model.pipeline.save_lora_weights(str(folder), **saved)
    theirs = their_model.changes()
    layers, left_over, changes = ours.read(folder / "pytorch_lora_weights.safetensors", model)
    compared = {key: change for key, change in theirs.items() if change is not None}
    return Result(NAME, model.name, network, "theirs", layers, left_over, len(compared), difference(compared, changes))
