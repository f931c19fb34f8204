"""Whether the model still holds what its checkpoint's file holds: some loaders merge LoRAs into it for good."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from lib_sdtune.errors import UserError
from lib_sdtune.ldm import checkpoint

UNET, VAE = "model.diffusion_model.", "first_stage_model."
SAMPLE = 24  # tensors: a LoRA changes most layers, so that these are enough where nothing else looks suspicious
PRECISIONS = (None, torch.float16, torch.bfloat16)  # that a weight may have passed on its way from the file


class StoredTensor(NamedTuple):
    """A tensor of a checkpoint's file; `read()` fetches its numbers."""

    shape: tuple[int, ...]
    read: Callable[[], torch.Tensor]


def refuse_other_weights(sd_model: nn.Module, everything: bool = False) -> None:
    """UserError that names the first tensor of UNet, VAE or text encoder whose numbers are not the file's.

    everything: compare all of them, not a sample. The built-in LoRAs have to be out. A file that is gone or cannot be
    read tells nothing, and a VAE that was chosen in the settings is not the checkpoint's own.
    """
    path = Path(sd_model.sd_checkpoint_info.filename)
    stored = stored_tensors(path)
    if not stored:
        return
    tensors = {name: tensor for name, tensor in lent_tensors(sd_model).items()
               if not (name.startswith(VAE) and other_vae())}
    for name in tensors:
        if name.startswith(UNET) and name not in stored:
            raise UserError(f"{name} was added to the UNet by another extension; restart the WebUI, or switch that "
                            "extension off, then start again.")
    names = [name for name, tensor in tensors.items() if name in stored and tuple(tensor.shape) == stored[name].shape]
    for name in names if everything else spread(names, tensors):
        if not holds(tensors[name], stored[name].read()):
            raise UserError(f"{name} does not hold what {path.name} holds: another extension has merged a LoRA into "
                            "it or exchanged it, or the file was replaced. Load the checkpoint again (choose another "
                            "one, then this one) or switch that extension off, then start again.")


def stored_tensors(path: Path) -> dict[str, StoredTensor]:
    """{name in the model: `StoredTensor`}; {} for a file that cannot be read."""
    try:
        if checkpoint.is_safetensors(path):
            return in_safetensors(path)
        entries, _ = checkpoint.read_any(path)
    except (UserError, OSError):
        return {}
    return {checkpoint.rename(name): StoredTensor(tuple(tensor.shape), lambda tensor=tensor: tensor)
            for name, tensor in entries.items() if isinstance(tensor, torch.Tensor)}


def in_safetensors(path: Path) -> dict[str, StoredTensor]:
    from safetensors import safe_open

    header = checkpoint.check_safetensors(path)
    file = safe_open(path, framework="pt")  # it is mapped, so that only what is compared is read
    return {checkpoint.rename(name): StoredTensor(tuple(entry["shape"]), partial(file.get_tensor, name))
            for name, entry in header.items() if name != "__metadata__"}


def lent_tensors(sd_model: nn.Module) -> dict[str, torch.Tensor]:
    """{name in the file: parameter}, without the WebUI's wrappers' names."""
    return {name.replace(".wrapped", ""): tensor for name, tensor in sd_model.named_parameters()
            if not name.startswith("model_ema.")}


def other_vae() -> bool:
    from modules import sd_vae

    return sd_vae.loaded_vae_file is not None


def spread(names: list[str], tensors: Mapping[str, torch.Tensor]) -> list[str]:
    matrices = [name for name in names if tensors[name].ndim > 1]
    return matrices[::max(1, len(matrices) // SAMPLE)]


def holds(tensor: torch.Tensor, stored: torch.Tensor) -> bool:
    moved = stored.to(tensor.device)
    casts = (moved if precision is None else moved.to(precision) for precision in PRECISIONS)
    return any(torch.equal(tensor, cast.to(tensor.dtype)) for cast in casts)
