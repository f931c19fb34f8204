"""The WebUI's CLIP as an encoder for comparing pictures, where its weights are on the disk already; nothing is downloaded."""

from pathlib import Path

import torch
from modules import devices, shared
from modules.interrogate import clip_model_name

BATCH = 16


def encoder():
    """A `ClipEncoder`, or None where there are no weights."""
    return ClipEncoder() if weights().is_file() else None


def weights():
    """Where the package `clip` looks for them."""
    return Path(shared.cmd_opts.clip_models_path or Path.home() / ".cache" / "clip") / f"{clip_model_name.replace('/', '-')}.pt"


class ClipEncoder:
    """See `evaluation.encoders`; `latents` is set by whoever compares."""

    name = f"CLIP {clip_model_name}"

    def __init__(self):
        import clip

        model, self.prepare = clip.load(str(weights()), device="cpu")  # by its path: by its name a damaged file would be downloaded anew
        self.model = model.eval().to(devices.device_interrogate)

    @torch.no_grad()
    def images(self, images):
        """(N, D) of length 1, on the CPU."""
        found = []
        for start in range(0, len(images), BATCH):
            pixels = torch.stack([self.prepare(image.convert("RGB")) for image in images[start:start + BATCH]])
            found.append(self.model.encode_image(pixels.to(devices.device_interrogate)).float().cpu())
        return unit(torch.cat(found))

    @torch.no_grad()
    def recognise(self, images, prompts):
        """(N, P) cosines."""
        import clip

        words = clip.tokenize(list(prompts), truncate=True).to(devices.device_interrogate)
        return self.images(images) @ unit(self.model.encode_text(words).float().cpu()).T


def unit(vectors):
    return vectors / vectors.norm(dim=1, keepdim=True)
