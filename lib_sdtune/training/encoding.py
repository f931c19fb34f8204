"""The borrowed encoders as the caches want them: what distinguishes one from another, and how to get by where halves
overflow.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch

from lib_sdtune.config import Config
from lib_sdtune.data.cache import LatentCache
from lib_sdtune.data.caption_length import CaptionLimit
from lib_sdtune.families.base import Conditioning
from lib_sdtune.host.base import LoadedModel
from lib_sdtune.methods.base import Method
from lib_sdtune.prompts import emphasis


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


@contextmanager
def precise(module: torch.nn.Module) -> Iterator[None]:
    """All of a module in float32 inside; afterwards every tensor has its type and its bits again."""
    tensors = [(tensor, tensor.data) for tensor in chain(module.parameters(), module.buffers())]
    try:
        for tensor, data in tensors:
            if data.is_floating_point():
                tensor.data = data.float()
        yield
    finally:
        for tensor, data in tensors:
            tensor.data = data


def encode_captions(model: LoadedModel, captions: Sequence[str], config: Config) -> Conditioning:
    """Captions as they are written, or with (word:1.2) as weights, as the WebUI reads prompts."""
    clip_skip = config.model.clip_skip
    if not config.dataset.weighted_captions:
        return model.family.encode_text(model, list(captions), clip_skip)
    return model.family.encode_prompts(model, [emphasis(caption) for caption in captions], clip_skip)


class Conditioner:
    """Called with captions and the step; answers a `families.base.Conditioning` on the model's device."""

    def __init__(self, config: Config, model: LoadedModel, method: Method, cache: LatentCache):
        self.config, self.model, self.method, self.cache = config, model, method, cache
        self.limit = CaptionLimit(model.tokenizer, config.dataset.max_token_length)

    def __call__(self, captions, step):
        if not self.method.changes_text():
            return self.cache.conditioning(captions).on(self.model.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.method.trains_text(step)):
            return encode_captions(self.model, self.limit(captions), self.config)
