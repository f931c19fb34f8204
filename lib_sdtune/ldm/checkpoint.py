"""Checkpoints of latent diffusion: read with care, and built into modules whose sizes come from the tensors.

The format is told by the content, not by the ending: safetensors, or a zip or pickle of torch, in which no code is
ever run.
"""

import json
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.formats import bounds, kinds, paths
from lib_sdtune.ldm import positions, unpickler
from lib_sdtune.ldm.text import CLIPTextModel
from lib_sdtune.ldm.unet import UNetModel
from lib_sdtune.ldm.vae import AutoencoderKL

UNET, VAE, CLIP = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
SKIPPED = ("model_ema.", "callbacks.")  # the averaged twin of the UNet is not what the WebUI generates with
MISSED = {"logit_scale": 4.6052}  # of OpenCLIP's own loss: some files lack it, and diffusion never reads it


def read(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """(name -> tensor, metadata) of a checkpoint; the tensors lie on the disk until they are touched, where the format
    allows.

    UserError if the file is missing, damaged, something other than a checkpoint, or carries code.
    """
    tensors, metadata = read_any(path)
    refuse_others(tensors, path)
    tensors = {rename(name): tensor for name, tensor in tensors.items() if not name.startswith(SKIPPED)}
    return {name: tensor for name, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}, metadata


def header(path: str | Path) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """(name -> shape, metadata) of a checkpoint, without reading its weights where the format allows; errors as in
    `read`.
    """
    path = Path(path)
    if is_safetensors(path):
        entries = bounds.read_header(path)
        metadata = entries.pop("__metadata__", {})
        refuse_others(entries, path)
        return {rename(name): tuple(entry["shape"]) for name, entry in entries.items()}, metadata
    tensors, metadata = read(path)
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}, metadata


def position_ids(path: Path) -> list[torch.Tensor]:
    """[position ids of each of a checkpoint's CLIP encoders]; of a safetensors file nothing else is read."""
    if not is_safetensors(path):
        return [tensor for name, tensor in read(path)[0].items() if name.endswith(positions.NAME)]
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return [file.get_tensor(name) for name in file.keys() if rename(name).endswith(positions.NAME)]  # noqa: SIM118


def refuse_others(names: Iterable[object], path: str | Path) -> None:
    content = kinds.content(names)
    if content != "checkpoint":
        name = Path(path).name
        raise UserError(f"{name} is {kinds.noun(content)}, not a checkpoint; choose a model of the folder "
                        "models/Stable-diffusion." if content else
                        f"{name} is not a Stable Diffusion checkpoint; choose a model of the folder "
                        "models/Stable-diffusion.")


def is_safetensors(path: Path) -> bool:
    return paths.is_file(path) and beginning(path)[8:9] == b"{"


def beginning(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(16)


def read_any(path: str | Path) -> tuple[dict[Any, Any], dict[str, str]]:
    """(name -> value, metadata) of any model file, guarded in the same way."""
    path = Path(path)
    if not paths.is_file(path):
        raise UserError(f"There is no file {path}; give the path of a .safetensors or .ckpt file.")
    head = beginning(path)
    if is_safetensors(path):
        bounds.read_header(path)
        return read_safetensors(path)
    if head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":
        return read_pickle(path, mmap=head[:2] == b"PK"), {}
    raise UserError(
        f"{path.name} is neither a safetensors nor a ckpt file; perhaps its download broke off or saved a web page."
    )


def read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path.name} is damaged ({error}); copy or download it again.") from error


def read_pickle(path: Path, mmap: bool) -> dict[Any, Any]:
    mmap = mmap and path.suffix != ".safetensors"  # torch would believe that ending
    bounds.refuse_zip_bomb(path)
    try:
        with open(path, "rb") as file:
            data = unpickle(str(path) if mmap else file, **({"mmap": True} if mmap else {}))
    except pickle.UnpicklingError as error:
        raise UserError(f"{path.name} holds something other than weights, perhaps code, so it was not opened; "
                        "get the model as .safetensors.") from error
    except Exception as error:  # whatever a damaged file makes the reader stumble over
        raise UserError(
            f"{path.name} is damaged or of another kind than its ending says; copy or download it again."
        ) from error
    data = data.get("state_dict", data) if isinstance(data, dict) else data
    if not isinstance(data, dict):
        raise UserError(f"{path.name} holds no named weights, so it is not a checkpoint.")
    bounds.refuse_oversized_tensors(data, path)
    return data


def unpickle(file: str | BinaryIO, **how: Any) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True, **how)
    except pickle.UnpicklingError:
        if hasattr(file, "seek"):
            file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=False, pickle_module=unpickler, **how)


def rename(name: str) -> str:
    """Early SD1 checkpoints lack one level of names in the text encoder."""
    for part in ("embeddings.", "encoder.", "final_layer_norm."):
        if name.startswith(CLIP + part):
            return CLIP + "text_model." + name.removeprefix(CLIP)
    return name


@dataclass(frozen=True)
class Part:
    """A part of a model: what its tensors' names begin with in a checkpoint, the module, and the module's arguments by
    its tensors. stored: the tensors of a host's module, which may have other names, as a checkpoint has them.
    """

    prefix: str
    module: Callable[..., torch.nn.Module]
    sizes: Callable[[dict], dict]
    name: str  # in the metadata key "sdtune_architecture"
    stored: Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]] = dict


def overrides(metadata: Mapping[str, str] | None) -> dict[str, dict[str, Any]]:
    """Arguments by part that the metadata key "sdtune_architecture" gives: {"unet": {"num_heads": 4}, "text":
    {"heads": 8}}.
    """
    return embedded_json(metadata or {}, "sdtune_architecture")


def embedded_json(metadata: Mapping[str, str], key: str) -> dict[str, dict[str, Any]]:
    """The group of settings that a file's metadata hold as JSON; {} where there is none."""
    with suppress(ValueError, RecursionError):
        data = json.loads(metadata.get(key, "{}"))
        return data if isinstance(data, dict) and all(isinstance(value, dict) for value in data.values()) else {}
    return {}


def build(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None,
          dtype: torch.dtype = torch.float32, plan: Sequence[Part] | None = None,
          architecture: Mapping[str, dict[str, Any]] | None = None
          ) -> tuple[torch.nn.Module, torch.nn.Module, list[torch.nn.Module]]:
    """(UNet, VAE, [text encoders]) with the weights of a checkpoint, in `dtype`, frozen and ready to predict.

    The number of attention heads leaves no trace in the tensors. The rule: a UNet whose proj_in is a convolution has 8
    heads, one whose proj_in is linear has heads 64 wide; a text encoder of width 512 or more has heads 64 wide, a
    smaller one has 4. `architecture` and the metadata may say otherwise, the latter above all. plan: the family's
    parts, SD1's if None.
    """
    overridden = overrides(metadata)
    arguments = [(part, (architecture or {}).get(part.name, {}) | overridden.get(part.name, {}))
                 for part in plan or SD1]
    unet, vae, *text_encoders = [assemble(tensors, part, overriding, dtype) for part, overriding in arguments]
    return unet, vae, text_encoders


def assemble(tensors: Mapping[str, torch.Tensor], part: Part, overriding: dict[str, Any],
             dtype: torch.dtype) -> torch.nn.Module:
    prefix = part.prefix
    part_tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    try:
        arguments = part.sizes(part_tensors) | overriding
    except KeyError as error:
        raise unsuitable(f"lacks {prefix}{error.args[0]}") from error
    with torch.device("meta"):
        module = part.module(**arguments)
    tensors = {prefix + name: torch.tensor(value) for name, value in MISSED.items()} | dict(tensors)
    module.load_state_dict(
        {name: fit(tensors, prefix, name, like, dtype) for name, like in module.state_dict().items()}, assign=True
    )
    if part.module is CLIPTextModel:
        positions.take_over(module, tensors, prefix)
    return module.eval().requires_grad_(False)


def fit(tensors: Mapping[str, torch.Tensor], prefix: str, name: str, like: torch.Tensor,
        dtype: torch.dtype) -> torch.Tensor:
    """The file's tensor in our dtype, in memory of its own, for the parameter that looks like `like`."""
    tensor = tensors.get(prefix + name)
    if tensor is None or tensor.numel() != like.numel():
        state = "lacks" if tensor is None else f"has an unexpected shape {tuple(tensor.shape)} of"
        raise unsuitable(f"{state} {prefix}{name}")
    return tensor.to(dtype, copy=True).reshape(like.shape)  # 1x1 convolutions are sometimes kept as matrices


def unsuitable(why: str) -> UserError:
    return UserError(f"The checkpoint {why}: it is incomplete, or of a model family that is not supported.")


def count(tensors: Iterable[str], pattern: str) -> int:
    """How many of pattern.format(0), pattern.format(1), ... begin a name."""
    n = 0
    while any(name.startswith(pattern.format(n)) for name in tensors):
        n += 1
    return n


def unet_sizes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    first, blocks = tensors["input_blocks.0.0.weight"], count(tensors, "input_blocks.{}.")
    depths, widths, level_blocks, linear, context = [0], [0], [0], False, 0
    for i in range(1, blocks):
        block = f"input_blocks.{i}."
        if f"{block}0.op.weight" in tensors:
            depths, widths, level_blocks = [*depths, 0], [*widths, 0], [*level_blocks, 0]
            continue
        widths[-1] = tensors[f"{block}0.out_layers.3.weight"].shape[0]
        level_blocks[-1] += 1
        if f"{block}1.norm.weight" in tensors:
            depths[-1] = count(tensors, block + "1.transformer_blocks.{}.")
    linear = tensors["middle_block.1.proj_in.weight"].ndim == 2
    context = tensors["middle_block.1.transformer_blocks.0.attn2.to_k.weight"].shape[1]
    return {
        "in_channels": first.shape[1], "out_channels": tensors["out.2.weight"].shape[0],
        "model_channels": first.shape[0],
        "channel_mult": tuple(width // first.shape[0] for width in widths), "num_res_blocks": level_blocks[0],
        "attention_levels": tuple(level for level, depth in enumerate(depths) if depth), "context_dim": context,
        "transformer_depth": tuple(depths), "middle_depth": count(tensors, "middle_block.1.transformer_blocks.{}."),
        "head_channels": 64 if linear else None, "use_linear": linear,
        "adm_channels": tensors["label_emb.0.0.weight"].shape[1] if "label_emb.0.0.weight" in tensors else None}


def vae_sizes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    ch, levels = tensors["encoder.conv_in.weight"].shape[0], count(tensors, "encoder.down.{}.")
    return {
        "ch": ch,
        "ch_mult": tuple(tensors[f"encoder.down.{level}.block.0.conv1.weight"].shape[0] // ch
                         for level in range(levels)),
        "num_res_blocks": count(tensors, "encoder.down.0.block.{}."),
        "z_channels": tensors["decoder.conv_in.weight"].shape[1],
        "embed_dim": tensors["quant_conv.weight"].shape[0] // 2,
    }


def text_sizes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    vocab, width = tensors["text_model.embeddings.token_embedding.weight"].shape
    return {"vocab_size": vocab, "width": width, "heads": width // 64 if width >= 512 else 4,
            "layers": count(tensors, "text_model.encoder.layers.{}."),
            "positions": tensors["text_model.embeddings.position_embedding.weight"].shape[0],
            "mlp_ratio": tensors["text_model.encoder.layers.0.mlp.fc1.weight"].shape[0] / width}


def open_text_sizes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    vocab, width = tensors["token_embedding.weight"].shape
    return {
        "vocab_size": vocab,
        "width": width,
        "heads": width // 64 if width >= 512 else 4,
        "layers": count(tensors, "transformer.resblocks.{}."),
        "positions": tensors["positional_embedding"].shape[0],
        "mlp_ratio": tensors["transformer.resblocks.0.mlp.c_fc.weight"].shape[0] / width,
        "projection": tensors["text_projection"].shape[1],
    }


UNET_PART = Part(UNET, UNetModel, unet_sizes, "unet")
VAE_PART = Part(VAE, AutoencoderKL, vae_sizes, "vae")
CLIP_PART = Part(CLIP, CLIPTextModel, text_sizes, "text")
SD1 = (UNET_PART, VAE_PART, CLIP_PART)


def alphas_cumprod() -> torch.Tensor:
    """(1000,) float32: how much signal is left at each timestep, of Stable Diffusion's "scaled linear" schedule."""
    betas = torch.linspace(0.00085**0.5, 0.0120**0.5, 1000, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0).float()
