"""The diffusion arithmetic against the formulas written out by hand."""

import math

import pytest
import torch

from lib_sdtune import diffusion

ABAR = torch.linspace(0.9999, 0.005, 1000)


def test_noisy_latents_keep_unit_variance():
    chance = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(2, 4, 64, 64, generator=chance), torch.randn(2, 4, 64, 64, generator=chance)
    noisy = diffusion.add_noise(latents, noise, torch.tensor([10, 990]), ABAR)
    assert noisy.var(dim=(1, 2, 3)) == pytest.approx(torch.ones(2), abs=0.05)
    t = 990
    by_hand = math.sqrt(ABAR[t]) * latents[1] + math.sqrt(1 - ABAR[t]) * noise[1]
    assert torch.allclose(noisy[1], by_hand, atol=1e-6)


def test_velocity_and_noise_describe_the_same_picture():
    latents, noise, t = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), torch.tensor([400])
    noisy = diffusion.add_noise(latents, noise, t, ABAR)
    v = diffusion.target("v_prediction", latents, noise, t, ABAR)
    a = ABAR[400]
    assert torch.allclose(a.sqrt() * noisy - (1 - a).sqrt() * v, latents, atol=1e-5)
    assert torch.allclose((1 - a).sqrt() * noisy + a.sqrt() * v, noise, atol=1e-5)
    assert diffusion.target("epsilon", latents, noise, t, ABAR) is noise


@pytest.mark.parametrize("t", [3, 400, 980])
def test_min_snr_is_the_papers_formula(t):
    ratio = float(ABAR[t] / (1 - ABAR[t]))
    epsilon = diffusion.loss_weights("epsilon", torch.tensor([t]), ABAR, min_snr_gamma=5)
    velocity = diffusion.loss_weights("v_prediction", torch.tensor([t]), ABAR, min_snr_gamma=5)
    assert float(epsilon) == pytest.approx(min(ratio, 5) / ratio, rel=1e-5)
    assert float(velocity) == pytest.approx(min(ratio, 5) / (ratio + 1), rel=1e-5)


@pytest.mark.parametrize("kind", ["l2", "huber", "smooth_l1"])
def test_losses_agree_on_small_errors_and_forgive_large_ones(kind):
    near = diffusion.distance(torch.tensor([1e-3]), torch.zeros(1), kind)
    far = diffusion.distance(torch.tensor([3.0]), torch.zeros(1), kind)
    assert float(near) == pytest.approx(1e-6, rel=0.01)
    assert (float(far) == pytest.approx(9.0)) if kind == "l2" else float(far) < 1


def test_zero_terminal_snr_ends_in_pure_noise_and_keeps_the_start():
    rescaled = diffusion.zero_terminal_snr(ABAR)
    assert float(rescaled[-1]) == 0
    assert float(rescaled[0]) == pytest.approx(float(ABAR[0]), rel=1e-5)
    assert (rescaled.diff() < 0).all()


def test_noise_offset_shifts_whole_channels_and_multires_keeps_variance():
    shifted = diffusion.noise_like((4, 64, 64), torch.Generator().manual_seed(1), noise_offset=1.0)
    plain = diffusion.noise_like((4, 64, 64), torch.Generator().manual_seed(1))
    difference = shifted - plain
    assert difference.std(dim=(1, 2)).max() < 1e-5 < difference.mean(dim=(1, 2)).abs().min()
    multires = diffusion.noise_like((4, 64, 64), torch.Generator().manual_seed(1), multires_iterations=6, multires_discount=0.8)
    assert float(multires.std()) == pytest.approx(1, abs=1e-3)
    power = [float(torch.nn.functional.avg_pool2d(noise, 16).square().mean()) for noise in (multires, plain)]
    assert power[0] > 1.5 * power[1]
