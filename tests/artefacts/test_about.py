"""What a file is told to be, for every kind, whatever it is called."""

import base64
import json

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

from lib_sdtune.artefacts.about import about
from lib_sdtune.errors import UserError
from lib_sdtune.formats import pickled
from tests.models import checkpoint_tensors, tiny_sd1


def lora(prefix, width):
    return {f"{prefix}_attn2_to_k.lora_down.weight": torch.zeros(4, width), f"{prefix}_attn2_to_k.lora_up.weight": torch.zeros(320, 4),
            f"{prefix}_attn2_to_k.alpha": torch.tensor(2.0)}


@pytest.mark.parametrize("tensors, metadata, expected", [
    (lora("lora_unet_x", 768), {}, {"kind": "lora", "family": "sd1", "layers": 1, "dim": {4: 1}, "alpha": {2.0: 1}}),
    (lora("lora_unet_x", 1024), {}, {"kind": "lora", "family": "sd2"}),
    (lora("lora_unet_x", 99), {}, {"kind": "lora", "family": ""}),
    (lora("lora_unet_x", 99), {"ss_base_model_version": "sd_v1"}, {"family": "sd1", "metadata": {"ss_base_model_version": "sd_v1"}}),
    (lora("lora_te2_x", 99), {}, {"kind": "lora", "family": "sdxl"}),
    ({"emb_params": torch.zeros(3, 768)}, {}, {"kind": "embedding", "family": "sd1", "vectors": 3, "width": [768]}),
    ({"clip_l": torch.zeros(2, 768), "clip_g": torch.zeros(2, 1280)}, {}, {"kind": "embedding", "family": "sdxl", "vectors": 2}),
])
def test_safetensors(tmp_path, tensors, metadata, expected):
    save_file(tensors, tmp_path / "file.safetensors", metadata)
    assert about(tmp_path / "file.safetensors").items() >= expected.items()


def test_a_checkpoint(tmp_path):
    save_file({name: t.half().contiguous() for name, t in checkpoint_tensors(tiny_sd1()).items()}, tmp_path / "any.safetensors")
    facts = about(tmp_path / "any.safetensors")
    assert (facts["kind"], facts["family"], set(facts["dtypes"])) == ("checkpoint", "sd1", {"float16"})


def test_pickled_add_ons(tmp_path):
    pickled.write(tmp_path / "word.pt", {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.zeros(2, 1024)}, "name": "word"})
    pickled.write(tmp_path / "hyper.pt", {768: [{"linear.0.weight": torch.zeros(2, 2)}], "layer_structure": [1, 2, 1], "step": 9})
    assert about(tmp_path / "word.pt").items() >= {"kind": "embedding", "family": "sd2", "vectors": 2}.items()
    assert about(tmp_path / "hyper.pt").items() >= {"kind": "hypernetwork", "family": "sd1", "widths": [768], "step": 9}.items()
    assert about(tmp_path / "word.pt")["metadata"] == {"name": "word"}


def test_the_card_tells_the_family_where_the_shapes_do_not(tmp_path):
    pickled.write(tmp_path / "word.pt", {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.zeros(2, 64)}, "name": "word"})
    assert about(tmp_path / "word.pt")["family"] == ""
    (tmp_path / "word.json").write_text('{"sd version": "SD1"}')
    assert about(tmp_path / "word.pt")["family"] == "sd1"
    (tmp_path / "word.json").write_text("[1]")
    assert about(tmp_path / "word.pt")["family"] == ""


def test_an_embedding_in_a_picture(tmp_path):
    chunk = PngInfo()
    data = {"string_to_token": {"*": 265}, "string_to_param": {"*": {"TORCHTENSOR": [[0.5] * 768] * 2}}, "name": "word", "step": 4}
    chunk.add_text("sd-ti-embedding", base64.b64encode(json.dumps(data).encode()).decode())
    Image.new("RGB", (8, 8)).save(tmp_path / "word.png", pnginfo=chunk)
    assert about(tmp_path / "word.png").items() >= {"kind": "embedding", "family": "sd1", "vectors": 2}.items()
    for wrong in (None, "[1]", '{"a": {"TORCHTENSOR": {}}}', "[" * 100_000):
        chunk = PngInfo()
        chunk.add_text("sd-ti-embedding", base64.b64encode((wrong or "").encode()).decode())
        Image.new("RGB", (8, 8)).save(tmp_path / "none.png", pnginfo=chunk)
        with pytest.raises(UserError, match=r"none\.png"):
            about(tmp_path / "none.png")


def test_a_file_without_a_tensor_is_empty(tmp_path):
    save_file({}, tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="none.safetensors is empty"):
        about(tmp_path / "none.safetensors")


def test_something_else_is_refused(tmp_path):
    save_file({"a": torch.zeros(1), "b": torch.zeros(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(UserError, match="odd.safetensors is neither"):
        about(tmp_path / "odd.safetensors")
