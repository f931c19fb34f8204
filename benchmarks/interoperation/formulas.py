"""The formulas of training beside sd-scripts' own functions, run on the same numbers; `python -m
benchmarks.interoperation.formulas --sd-scripts DIR`.
"""

import argparse
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch

from lib_sdtune import diffusion
from lib_sdtune.diffusion import alphas_cumprod

TIMESTEPS = (0, 50, 250, 500, 750, 999)
HEAD = (f"| formula | {' | '.join(f't = {t}' for t in TIMESTEPS)} | largest difference |\n"
        f"{'|---' * (len(TIMESTEPS) + 2)}|")


def rows() -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """(what, theirs, ours), both (timesteps) or anything of one shape."""
    from library import custom_train_functions as theirs
    from library import train_util

    schedule = alphas_cumprod().float()
    scheduler = SimpleNamespace(alphas_cumprod=schedule, config=SimpleNamespace(num_train_timesteps=1000))
    theirs.prepare_scheduler_for_custom_training(scheduler, "cpu")
    steps, ones = torch.tensor(TIMESTEPS), torch.ones(len(TIMESTEPS))
    for name in ("snr", "exponential", "constant"):
        arguments = SimpleNamespace(loss_type="huber", huber_schedule=name, huber_c=0.1, huber_scale=1.5)
        yield (f"huber_schedule {name}", train_util.get_huber_threshold_if_needed(arguments, steps, scheduler),
               diffusion.huber_threshold(steps, schedule, name, 0.1, 1.5))
    for loss_type in ("l1", "l2", "huber", "smooth_l1"):
        answer, target = drawn(1, len(TIMESTEPS), 4, 8, 8), drawn(2, len(TIMESTEPS), 4, 8, 8)
        threshold = diffusion.huber_threshold(steps, schedule)
        yield (f"loss_type {loss_type}",
               train_util.conditional_loss(answer, target, loss_type, "none", threshold).mean((1, 2, 3)),
               diffusion.distance(answer, target, loss_type, threshold).mean((1, 2, 3)))
    for kind in ("epsilon", "v_prediction"):
        weigh: Callable[..., torch.Tensor] = lambda kind=kind, **options: diffusion.loss_weights(  # noqa: E731
            kind, steps, schedule, **options)
        velocity = kind == "v_prediction"
        yield (f"min_snr_gamma 5, {kind}", theirs.apply_snr_weight(ones, steps, scheduler, 5.0, velocity),
               weigh(min_snr_gamma=5.0))
        yield (f"debiased_estimation, {kind}", theirs.apply_debiased_estimation(ones, steps, scheduler, velocity),
               weigh(debiased_estimation=True))
    yield ("scale_v_pred_loss_like_noise_pred",
           theirs.scale_v_prediction_loss_like_noise_prediction(ones, steps, scheduler),
           weigh(scale_v_pred_loss_like_noise_pred=True))
    yield ("v_pred_like_loss 0.5", theirs.add_v_prediction_like_loss(ones, steps, scheduler, torch.tensor(0.5)),
           diffusion.loss_weights("epsilon", steps, schedule, v_pred_like_loss=0.5))
    yield "zero_terminal_snr, abar", *zero_terminal_snr(theirs, schedule, steps)
    yield "masked_loss", *masked(theirs)
    yield "multires_noise, 6 octaves", *multires(theirs)
    yield "noise_offset 0.05, adaptive 0.2", *adaptive(theirs)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def zero_terminal_snr(theirs: Any, schedule: torch.Tensor, steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    alphas = torch.cat([schedule[:1], schedule[1:] / schedule[:-1]])
    scheduler = SimpleNamespace(betas=1 - alphas)
    theirs.fix_noise_scheduler_betas_for_zero_terminal_snr(scheduler)
    return scheduler.alphas_cumprod[steps], diffusion.zero_terminal_snr(schedule)[steps]


def masked(theirs: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses under masks of which 10 to 90 % are white; theirs are pictures from -1 to 1, eight times as large."""
    losses, masks = drawn(3, len(TIMESTEPS), 4, 8, 8).square(), torch.zeros(len(TIMESTEPS), 1, 8, 8)
    for number in range(len(TIMESTEPS)):
        masks[number, :, : number + 1] = 0.25 * (number % 4 + 1)
    pictures = masks.repeat_interleave(8, 2).repeat_interleave(8, 3) * 2 - 1
    batch = {"conditioning_images": pictures.expand(-1, 3, -1, -1)}
    return (theirs.apply_masked_loss(losses, batch).mean((1, 2, 3)),
            (losses * diffusion.mask_weights(masks)).mean((1, 2, 3)))


def multires(theirs: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The same draws on both sides: theirs come from Python's and torch's global chance, in another order."""
    shape, iterations, discount = (4, 64, 64), 6, 0.3
    chance = torch.Generator().manual_seed(5)
    ours = diffusion.noise_like(shape, chance, multires_iterations=iterations, multires_discount=discount)
    replay = torch.Generator().manual_seed(5)
    noise = torch.randn(1, *shape, generator=replay)
    with (mock.patch.object(random, "random", lambda: float(torch.rand(1, generator=replay))),
          mock.patch.object(torch, "randn", lambda *size: torch.normal(0.0, 1.0, size, generator=replay))):
        result = theirs.pyramid_noise_like(noise, "cpu", iterations, discount)[0]
    return channel_means(result), channel_means(ours)


def channel_means(noise: torch.Tensor) -> torch.Tensor:
    """Six numbers of a picture's noise: the means of its channels, its largest and its smallest."""
    return torch.cat([noise.mean((1, 2)), noise.amax().view(1), noise.amin().view(1)])


def adaptive(theirs: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """What is added to the noise, as a share of the number that is drawn for each channel."""
    latents = drawn(7, 1, 4, 8, 8) + torch.tensor([0.5, -1.0, 0.0, -0.2]).view(1, 4, 1, 1)
    with mock.patch.object(torch, "randn", lambda *size, **rest: torch.ones(*size)):
        added = theirs.apply_noise_offset(latents, torch.zeros_like(latents), 0.05, 0.2)[0, :, 0, 0]
    return added, diffusion.noise_offset_of(latents[0], 0.05, 0.2).flatten()


def row(name: str, theirs: torch.Tensor, ours: torch.Tensor) -> tuple[str, float]:
    """A line of the table, and how far the two lie apart as a share of theirs."""
    apart = float((theirs - ours).abs().max() / theirs.abs().max().clamp(min=1e-12))
    cells = [f"{value:.4g}" for value in theirs.tolist()]
    cells += [""] * (len(TIMESTEPS) - len(cells))
    return f"| {name} | {' | '.join(cells)} | {apart:.1e} |", apart


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interoperation.formulas", description=__doc__)
    parser.add_argument("--sd-scripts", type=Path, required=True, help="a folder with kohya-ss/sd-scripts")
    sys.path.insert(0, str(parser.parse_args().sd_scripts.absolute()))
    print(HEAD)
    worst = 0.0
    for name, theirs, ours in rows():
        line, apart = row(name, theirs, ours)
        worst = max(worst, apart)
        print(line)
    return 0 if worst <= 1e-4 else 1


if __name__ == "__main__":
    raise SystemExit(main())
