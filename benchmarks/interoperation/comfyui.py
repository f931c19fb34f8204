"""ComfyUI's key map, as comfy/lora.py or Forge's copy of it has it: which keys of a file it finds layers for.

Its folder, with lora.py and utils.py in it, is named on the command line. What it makes of the tensors is not run here.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from safetensors.torch import load_file

from benchmarks.interoperation import ours
from benchmarks.interoperation.ours import Model
from benchmarks.interoperation.result import NAMES_ONLY, Result

NAME = "ComfyUI"
NETWORKS = ("lora", "loha", "lokr", "dora")
UNETS: dict[str, dict[str, Any]] = {
    "sd1": {"channel_mult": [1, 2, 4, 4], "num_res_blocks": [2] * 4, "transformer_depth": [1] * 6 + [0, 0],
            "transformer_depth_output": [1] * 9 + [0] * 3, "transformer_depth_middle": 1},
    "sdxl": {"channel_mult": [1, 2, 4], "num_res_blocks": [2] * 3, "transformer_depth": [0, 0, 2, 2, 10, 10],
             "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10], "transformer_depth_middle": 10}}
UNETS["sd2"] = UNETS["sd1"]
TEXTS = {"sd1": {"clip_l": 12}, "sd2": {"clip_h": 24}, "sdxl": {"clip_l": 12, "clip_g": 32}}
LAYERS = ("mlp.fc1", "mlp.fc2", "self_attn.k_proj", "self_attn.q_proj", "self_attn.v_proj", "self_attn.out_proj")


def lora_module(folder: Path) -> ModuleType:
    """lora.py of that folder, whatever package it asks for its utils in."""
    source = (folder / "lora.py").read_text(encoding="utf-8")
    package = "packages_3rdparty.comfyui_lora_collection" if "packages_3rdparty" in source else "comfy"
    parts = package.split(".")
    for end in range(1, len(parts) + 1):
        module = sys.modules.setdefault(".".join(parts[:end]), ModuleType(".".join(parts[:end])))
        module.__path__ = [str(folder)]
    return importlib.import_module(f"{package}.lora")


class Named:
    """A model of which only the names of its tensors are asked."""

    def __init__(self, names: list[str], unet: dict[str, Any]):
        self.names = names
        self.model_config = SimpleNamespace(unet_config=unet)
        self.diffusion_model, self.config = SimpleNamespace(config=unet), SimpleNamespace(huggingface_repo="")

    def state_dict(self) -> dict[str, None]:
        return dict.fromkeys(self.names)


def key_map(model: Model, folder: Path) -> tuple[ModuleType, dict[str, str]]:
    module, config = lora_module(folder), UNETS[model.name]
    unet = Named([f"diffusion_model.{name}" for name in model.unet.state_dict()], config)
    texts = [f"{part}.transformer.text_model.encoder.layers.{number}.{layer}.weight"
             for part, count in TEXTS[model.name].items() for number in range(count) for layer in LAYERS]
    keys: dict[str, str] = {}
    module.model_lora_keys_unet(unet, keys)
    module.model_lora_keys_clip(Named(texts, config), keys)
    return module, keys


def ours_in_theirs(model: Model, network: str, folder: Path) -> Result:
    path = folder / f"ours-{model.name}-{network}.safetensors"
    ours.write(path, model, network)
    module, keys = key_map(model, model.comfyui)
    tensors = load_file(path)
    answer = module.load_lora(dict(tensors), keys)
    patches, left_over = answer if isinstance(answer, tuple) else (answer, {})
    layers = {name.partition(".")[0] for name in tensors}
    unknown = [key for key in layers if key not in keys]
    return Result(NAME, model.name, network, "ours", len(patches), (*left_over, *unknown), remark=NAMES_ONLY)
