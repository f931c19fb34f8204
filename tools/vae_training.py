"""What training the embedded model's autoencoder, and its decoder alone, share: loss, a step, the kept state, eps."""

import time

import torch
import torch.nn.functional as F
from torch import nn

from lib_sdtune.formats.files import atomic

EPS = 1.0  # of GroupNorm while training: a picture that is flat stays flat


def edge_loss(error, x):
    """Mean error of (B, 3, h, w), four times as much within two pixels of an edge of x."""
    spread = (F.max_pool2d(x, 3, 1, 1) + F.max_pool2d(-x, 3, 1, 1)).amax(1, keepdim=True).clamp(0, 1)
    return ((error.abs() + 2 * error.square()) * (1 + 3 * F.max_pool2d(spread, 3, 1, 1))).mean()


def warm_and_linear(step, steps):
    """The rate's factor: up within 50 steps, level for a quarter of the run, then down to 2 %."""
    return min(1, (step + 1) / 50) * min(1, 0.02 + 4 * (1 - step / steps) / 3)


def step(model, ema, optimizer, loss, number):
    """One step of the optimizer, and of the average after it."""
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        for average, weight in zip(ema.parameters(), model.parameters(), strict=True):
            average.lerp_(weight, 1 - min(0.995, number / (number + 10)))


def restore(path, vae, ema, optimizer):
    """The number of steps that are done; 0 where nothing was kept."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    vae.load_state_dict(state["vae"])
    ema.load_state_dict(state["ema"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]


def keep(path, vae, ema, optimizer, done):
    state = {"vae": vae.state_dict(), "ema": ema.state_dict(), "optimizer": optimizer.state_dict(), "step": done}
    with atomic(path) as temporary:
        torch.save(state, temporary)


class Progress:
    """Prints loss, PSNR and pace at every fiftieth step."""

    def __init__(self, start):
        self.start, self.began, self.psnr = start, time.time(), 0.0

    def say(self, step, loss, error):
        done = step + 1 - self.start
        self.psnr = 0.98 * self.psnr + 0.02 * float(-10 * torch.log10(error.detach().square().mean() / 4))
        if step % 50 == 49:
            pace = (time.time() - self.began) / done
            print(f"{step + 1} loss {loss.item():.4f} psnr {self.psnr / (1 - 0.98**done):.2f} {pace:.3f} s/step",
                  flush=True)


@torch.no_grad()
def fold_eps(vae, to):
    """The same function with another eps in GroupNorm: everything that a norm reads is made sqrt(to / eps) times as
    large.
    """
    for part in (vae.encoder, vae.decoder):
        factor = (to / part.norm_out.eps) ** 0.5
        for name, module in part.named_modules():
            if isinstance(module, nn.GroupNorm):
                module.eps = to
            elif name.endswith((".conv1", ".conv2", ".proj_out", "conv_in")):
                module.weight.mul_(factor)
                module.bias.mul_(factor)
            elif name.endswith(("sample.conv", "nin_shortcut")):
                module.bias.mul_(factor)
