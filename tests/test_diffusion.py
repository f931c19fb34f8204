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


@pytest.mark.parametrize("kind, near, far", [("l2", 1e-6, 9.0), ("l1", 1e-3, 3.0), ("huber", 1e-6, 0.2 * (9.01**0.5 - 0.1)),
                                             ("smooth_l1", 1e-5, 2 * (9.01**0.5 - 0.1))])
def test_losses_are_those_of_sd_scripts(kind, near, far):
    """At c = 0.1; smooth_l1 is huber / c."""
    errors = torch.tensor([1e-3, 3.0]).view(2, 1, 1, 1)
    values = diffusion.distance(errors, torch.zeros(2, 1, 1, 1), kind, torch.full((2,), 0.1)).flatten()
    assert values.tolist() == pytest.approx([near, far], rel=2e-3)


# sd-scripts' get_huber_threshold_if_needed, worked out for Stable Diffusion's schedule at timesteps 50, 250 and 999
SD_ABAR = 1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square()
SD_ABAR = SD_ABAR.cumprod(0).float()


@pytest.mark.parametrize("how, values", [("snr", [0.70, 0.41, 0.10]), ("constant", [0.1, 0.1, 0.1]),
                                         ("exponential", [0.1 ** (t / 1000) for t in (50, 250, 999)])])
def test_the_thresholds_of_huber_follow_the_timestep(how, values):
    thresholds = diffusion.huber_threshold(torch.tensor([50, 250, 999]), SD_ABAR, how, c=0.1)
    assert thresholds.tolist() == pytest.approx(values, abs=0.005)


def test_the_scale_of_huber_counts_where_sd_scripts_has_it():
    timesteps = torch.tensor([50, 999])
    for how, factor in (("snr", 1), ("constant", 2), ("exponential", 2)):
        plain, doubled = (diffusion.huber_threshold(timesteps, SD_ABAR, how, c=0.1, scale=scale) for scale in (1.0, 2.0))
        assert torch.allclose(doubled, factor * plain)


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


@pytest.mark.parametrize("discount, spread", [(0.3, 0.025), (0.8, 0.29)])
def test_multires_noise_moves_whole_channels_as_much_as_in_sd_scripts(discount, spread):
    """Their pyramid_noise_like: the first octave at full strength, each 2 to 4 times coarser than the last."""
    noises = [diffusion.noise_like((4, 64, 64), torch.Generator().manual_seed(seed), multires_iterations=10, multires_discount=discount)
              for seed in range(40)]
    theirs = [pyramid(torch.Generator().manual_seed(1000 + seed), discount) for seed in range(40)]
    ours, means = (torch.stack(each).mean(dim=(2, 3)).std() for each in (noises, theirs))
    assert float(ours) == pytest.approx(float(means), rel=0.35)
    assert float(ours) == pytest.approx(spread, rel=0.35)  # plain noise has 1/64, and it used to have 0.019


def pyramid(generator, discount):
    """sd-scripts' formula over again, for one picture of 64 x 64 latents."""
    noise = torch.randn(1, 4, 64, 64, generator=generator)
    for i in range(10):
        ratio = float(torch.rand(1, generator=generator)) * 2 + 2
        side = max(1, int(64 / ratio**i))
        coarse = torch.randn(1, 4, side, side, generator=generator)
        noise = noise + discount**i * torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear")
        if side == 1:
            break
    return (noise / noise.std())[0]


def test_a_masked_loss_is_the_mean_over_all_latents_unless_pictures_shall_count_alike():
    masks = torch.zeros(2, 1, 4, 5)
    masks[0], masks[1, :, 0, :2] = 1, 1  # the second picture is 10 % opaque
    errors = torch.ones(2, 4, 4, 5)
    plain, alike = ((errors * diffusion.mask_weights(masks, normalize)).mean(dim=(1, 2, 3)).tolist() for normalize in (False, True))
    assert plain == pytest.approx([1, 0.1]) and alike == pytest.approx([1, 1])


def test_logit_normal_timesteps_follow_their_distribution():
    rng = torch.Generator().manual_seed(0)
    drawn = torch.tensor([diffusion.sample_timestep(rng, 100, 900, "logit_normal", 0.5, 0.8) for _ in range(20000)])
    assert drawn.min() >= 100 and drawn.max() < 900
    shares = (drawn.double() + 0.5 - 100) / 800
    values = torch.log(shares / (1 - shares))
    assert values.mean() == pytest.approx(0.5, abs=0.03) and values.std() == pytest.approx(0.8, abs=0.03)
    assert diffusion.sample_timestep(rng, 5, 6, "logit_normal", 10, 10) == 5


def test_the_schedule_of_stable_diffusion():
    abar = diffusion.alphas_cumprod()
    assert abar.dtype == torch.float32 and len(abar) == 1000
    assert abar[[0, 499, 999]].tolist() == pytest.approx([0.99915, 0.27767, 0.00466], abs=1e-5)
