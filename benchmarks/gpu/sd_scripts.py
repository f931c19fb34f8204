"""A LoRA step as sd-scripts does it (train_network.py, networks/lora.py), written anew as a baseline.

Two small modules beside each layer of the transformers, in float32 under autocast; their product times the scale is
added to the layer's answer. Loss scaling for float16, all gradients clipped by their norm, torch's AdamW as it is by
default, and the loss read at every step.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from lib_sdtune import diffusion
from lib_sdtune.families.base import Conditioning
from lib_sdtune.loaded_model import LoadedModel


class Lora(nn.Module):
    """Takes the place of a layer's forward."""

    def __init__(self, layer: nn.Module, dim: int, alpha: float):
        super().__init__()
        self.straight, self.scale = layer.forward, alpha / dim
        device = layer.weight.device
        if isinstance(layer, nn.Conv2d):
            self.lora_down = nn.Conv2d(layer.in_channels, dim, 1, bias=False, device=device)
            self.lora_up = nn.Conv2d(dim, layer.out_channels, 1, bias=False, device=device)
        else:
            self.lora_down = nn.Linear(layer.in_features, dim, bias=False, device=device)
            self.lora_up = nn.Linear(dim, layer.out_features, bias=False, device=device)
        nn.init.zeros_(self.lora_up.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.straight(x) + self.lora_up(self.lora_down(x)) * self.scale


def grad_scaler(enabled: bool) -> Any:
    """torch's own, which moved in 2.3."""
    if hasattr(torch.amp, "GradScaler"):
        return torch.amp.GradScaler("cuda", enabled=enabled)
    return torch.cuda.amp.GradScaler(enabled=enabled)


@contextmanager
def lora_step(model: LoadedModel, dtype: torch.dtype, conditioning: Callable[[], Conditioning], latents: torch.Tensor,
              dim: int = 16, alpha: float = 8) -> Iterator[Callable[[], float]]:
    """A function that does a step and answers its loss. The text encoders are not trained; latents (B, 4, h, w)."""
    layers = [target.layer for target in model.family.targets(model)
              if target.part == "unet" and target.kind == "attention"]
    loras = nn.ModuleList(Lora(layer, dim, alpha) for layer in layers)
    learned = list(loras.parameters())
    optimizer = torch.optim.AdamW(learned, lr=1e-4)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    scaler = grad_scaler(dtype == torch.float16 and latents.is_cuda)
    schedule = model.schedule.to(latents.device, torch.float32)

    def step() -> float:
        noise = torch.randn_like(latents)
        timesteps = torch.randint(0, 1000, (len(latents),), device=latents.device)
        noisy = diffusion.add_noise(latents, noise, timesteps, schedule)
        with nullcontext() if dtype == torch.float32 else torch.autocast(latents.device.type, dtype=dtype):
            answer = model.family.predict(model, noisy.to(model.dtype), timesteps, conditioning())
        loss = (answer.float() - noise).square().mean([1, 2, 3]).mean()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(learned, 1.0)
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    for layer, lora in zip(layers, loras, strict=True):
        layer.forward = lora.forward
    try:
        yield step
    finally:
        for layer in layers:
            del layer.forward
