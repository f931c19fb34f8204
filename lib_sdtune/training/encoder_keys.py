"""What distinguishes one borrowed encoder from another, for the caches of what they say."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from lib_sdtune.loaded_model import LoadedModel


def vae_key(model: LoadedModel) -> str:
    """Depends on the VAE's own weights, not on the checkpoint: two checkpoints with one VAE share their latents, and
    choosing another VAE in the WebUI is noticed."""
    vae: Any = model.vae
    parts = vae.encoder, vae.quant_conv
    return f"{model.family.name}-{fingerprint(tensor for part in parts for tensor in part.state_dict().values())}"


def text_key(model: LoadedModel, clip_skip: int, most: int, weighted: bool = False) -> str:
    """Depends on the text encoders' weights, the embeddings that captions may name, and how captions are read."""
    towers = fingerprint(tensor for tower in model.text_encoders for tensor in tower.state_dict().values())
    names = sorted(model.embeddings)
    named = fingerprint((model.embeddings[name] for name in names), names)
    return f"{model.family.name}-{towers}-{named}-{clip_skip}-{most}{'-weighted' * weighted}"


def fingerprint(tensors: Iterable[torch.Tensor], names: Sequence[str] = ()) -> str:
    """A short hash of tensors, their shapes and types: of every value, because a merge may change a few rows alone.

    It takes a second or some for the largest text encoders, once a run.
    """
    total = hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass"))
    for tensor in tensors:
        values = tensor.detach().cpu().contiguous().reshape(-1)
        total.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        total.update(values.view(torch.uint8).numpy().data if values.numel() else b"")
    return total.hexdigest()[:24]
