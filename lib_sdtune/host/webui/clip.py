"""The WebUI's CLIP as an encoder for comparing pictures, where its weights are on the disk already.

Nothing is downloaded.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from modules import devices, shared
from modules.interrogate import clip_model_name
from PIL.Image import Image

BATCH = 16


def encoder() -> "ClipEncoder | None":
    """A `ClipEncoder`, or None where there are no weights."""
    return ClipEncoder() if weights().is_file() else None


def weights() -> Path:
    """Where the package `clip` looks for them."""
    folder = Path(shared.cmd_opts.clip_models_path or os.path.expanduser("~/.cache/clip"))
    return folder / f"{clip_model_name.replace('/', '-')}.pt"


class ClipEncoder:
    """See `evaluation.encoders`; `latents` is set by whoever compares."""

    name = f"CLIP {clip_model_name}"

    def __init__(self) -> None:
        import clip

        # by its path: by its name a damaged file would be downloaded anew
        model, self.prepare = clip.load(str(weights()), device="cpu")
        self.model = model.eval().to(devices.device_interrogate)

    @torch.no_grad()
    def images(self, images: Sequence[Image]) -> torch.Tensor:
        """(N, D) of length 1, on the CPU."""
        vectors = []
        for start in range(0, len(images), BATCH):
            pixels = torch.stack([self.prepare(image.convert("RGB")) for image in images[start:start + BATCH]])
            vectors.append(self.model.encode_image(pixels.to(devices.device_interrogate)).float().cpu())
        return unit(torch.cat(vectors))

    @torch.no_grad()
    def recognise(self, images: Sequence[Image], prompts: Sequence[str]) -> torch.Tensor:
        """(N, P) cosines."""
        import clip

        tokens = clip.tokenize(list(prompts), truncate=True).to(devices.device_interrogate)
        return self.images(images) @ unit(self.model.encode_text(tokens).float().cpu()).T


def unit(vectors: torch.Tensor) -> torch.Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True)
