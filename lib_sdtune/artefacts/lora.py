"""LoRA files: which layers they change, under kohya's keys, and the tensors of each.

Read are kohya's and LyCORIS' names (lora_unet_mid_block_….lora_down.weight, oft_unet_… of networks.oft) and those of
PEFT and diffusers (unet.mid_block.….lora_A.weight), whose alphas in the header become tensors like the others.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from lib_sdtune.artefacts import about, adapter_metadata
from lib_sdtune.errors import UserError
from lib_sdtune.formats import kinds
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.sentences import phrase

PEFT = {
    "lora_A.weight": "lora_down.weight",
    "lora_B.weight": "lora_up.weight",
    "lora.down.weight": "lora_down.weight",
    "lora.up.weight": "lora_up.weight",
    "lora_linear_layer.down.weight": "lora_down.weight",
    "lora_linear_layer.up.weight": "lora_up.weight",
}
OF_PROCESSORS = re.compile(r"\.processor\.(to_[qkv]|to_out)_lora\.(down|up)\.weight$")  # diffusers before 0.19
PARTS = {"text_encoder_2.": "lora_te2_", "text_encoder.": "lora_te_", "unet.": "lora_unet_"}
EMBEDDING = "bundle_emb."


@dataclass
class LoraFile:
    """layers: kohya's key of a layer -> tail ("lora_down.weight", "alpha", …) -> tensor, on the disk until it is
    touched.

    family: "sd1" | "sd2" | "sdxl", "" where nothing tells. embeddings: the tensors of embeddings that lie in the
    file.
    """

    path: Path
    layers: dict[str, dict[str, torch.Tensor]]
    metadata: dict[str, str] = field(default_factory=dict)
    family: str = ""
    embeddings: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def dtype(self) -> torch.dtype:
        """The number format that most of its numbers have, of those that are written: float32 for double precision."""
        count: Counter = Counter()
        for tensors in self.layers.values():
            for tensor in tensors.values():
                count[torch.float32 if tensor.dtype == torch.float64 else tensor.dtype] += tensor.numel()
        return max(safetensors.PRECISIONS.values(), key=lambda dtype: count[dtype])


def read(path: Path) -> LoraFile:
    """UserError for what is no LoRA, is damaged or carries code."""
    from lib_sdtune.ldm.checkpoint import read_any

    entries, metadata = read_any(path)
    content = kinds.content(entries)
    if content != "lora":
        raise UserError(f"{path.name} is {kinds.noun(content) or phrase('something else')}, not a LoRA.")
    tensors = {name: calculable(value) for name, value in entries.items() if isinstance(value, torch.Tensor)}
    layers: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if not name.startswith(EMBEDDING):
            key, tail = key_and_tail(name)
            layers.setdefault(key, {})[tail] = tensor
    add_alphas(layers, tensors, metadata, path.name)
    embeddings = {name: tensor for name, tensor in tensors.items() if name.startswith(EMBEDDING)}
    return LoraFile(
        path, layers, metadata, about.family("lora", entries, tensors, metadata) or about.by_card(path), embeddings
    )


def calculable(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself, or where it is float8, in which torch only stores, the same numbers in float16."""
    return tensor.half() if "float8" in str(tensor.dtype) else tensor


def add_alphas(layers: dict[str, dict[str, torch.Tensor]], names: Iterable[str], metadata: Mapping[str, str],
               file: str) -> None:
    """Give layers that have none in the file the alpha that its header says."""
    adapters = adapter_metadata.read(metadata, file)
    for name in names if adapters else ():
        key, tail = key_and_tail(name)
        part, _, path = name.partition(".")
        if tail == "lora_down.weight" and part in adapters and "alpha" not in layers[key]:
            layer = path.removesuffix(next((end for end in PEFT if path.endswith(end)), "")).rstrip(".")
            alpha = adapters[part].alpha_of(layer, len(layers[key][tail]))
            layers[key]["alpha"] = torch.tensor(alpha)


def key_and_tail(name: str) -> tuple[str, str]:
    """("lora_unet_mid_block_attentions_0_proj_in", "lora_down.weight") of a tensor's name, whichever program wrote
    it.
    """
    name = OF_PROCESSORS.sub(r".\1.lora.\2.weight", name).replace(".to_out.lora.", ".to_out.0.lora.")
    for part, prefix in PARTS.items():
        if name.startswith(part):
            tail = next((tail for tail in PEFT if name.endswith(f".{tail}")), name.rpartition(".")[2])
            return prefix + name[len(part) : -len(tail) - 1].replace(".", "_"), PEFT.get(tail, tail)
    key, _, tail = name.partition(".")
    return re.sub("^oft_(unet|te)", r"lora_\1", key), PEFT.get(tail, tail)


def rounded(tail: str, tensor: torch.Tensor, precision: torch.dtype) -> torch.Tensor:
    """A tensor in the file's precision. What scales everything stays float32: a DoRA's lengths, and an alpha that
    rounding would change (0.1, say). Readers take every tensor in its own format.
    """
    if tail.endswith("dora_scale"):
        return tensor.float()
    if not tensor.is_floating_point():
        return tensor
    result = tensor.to(precision)
    return result if tensor.ndim or result.float() == tensor.float() else tensor.float()
