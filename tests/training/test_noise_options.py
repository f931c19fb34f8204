"""Options of noise and loss beside sd-scripts' formulas, written anew."""

import pytest
import torch

from lib_sdtune import diffusion
from lib_sdtune.config import Config
from lib_sdtune.diffusion import alphas_cumprod
from lib_sdtune.errors import UserError
from lib_sdtune.randomness import generator
from lib_sdtune.training.batch import draw_one
from lib_sdtune.training.refusals import refuse_other_prediction
from lib_sdtune.training.timestep_sampling import TimestepSampling
from tests.hosts import settings

SHAPE = (4, 64, 64)


class Cache:
    """Latents whose channels have the means 0, 1, -2 and 3."""

    def latents(self, example):
        return torch.tensor([0.0, 1.0, -2.0, 3.0]).view(4, 1, 1).expand(SHAPE), torch.zeros(SHAPE)

    def mask(self, example):
        return None


class Example:
    index, occurrence = 3, 0


def drawn(step=0, **noise):
    """(noise, perturbation) of an example."""
    config = Config.from_dict(settings("pictures", noise=noise))
    _, values, perturbation, _, _, _ = draw_one(Example, step, Cache(), config, TimestepSampling(config.noise))
    return values, perturbation


def offset(values):
    """What was added to each channel, as far as the noise lets it be seen."""
    return values.mean(dim=(1, 2))


def test_adaptive_noise_scale_adds_the_channels_mean():
    """apply_noise_offset: (offset + scale * |mean of a channel|) * normal, not below 0."""
    latents = Cache().latents(None)[0]
    assert diffusion.noise_offset_of(latents, 0.1, 0.05).flatten().tolist() == pytest.approx([0.1, 0.15, 0.2, 0.25])
    assert diffusion.noise_offset_of(latents, 0.1, -0.05).flatten().tolist() == pytest.approx([0.1, 0.05, 0, 0])
    plain, adaptive = drawn(noise_offset=1.0)[0], drawn(noise_offset=1.0, adaptive_noise_scale=1.0)[0]
    bare = drawn()[0]
    normal = offset(plain - bare)
    assert torch.allclose(offset(adaptive - bare), normal * torch.tensor([1.0, 2.0, 3.0, 4.0]), atol=1e-5)
    with pytest.raises(UserError, match="adaptive_noise_scale"):
        drawn(adaptive_noise_scale=0.1)


def test_random_strengths_lie_between_nothing_and_what_is_set_and_come_again():
    ratios = []
    for step in range(40):
        whole, some = (drawn(step, ip_noise_gamma=1.0, ip_noise_gamma_random_strength=random)[1] for random in (False, True))
        assert float(some.std()) <= 1.05 and whole.std() > 0.95
        ratios.append(float(some.std()))
        assert torch.equal(some, drawn(step, ip_noise_gamma=1.0, ip_noise_gamma_random_strength=True)[1])
    assert min(ratios) < 0.2 and max(ratios) > 0.8 and 0.35 < sum(ratios) / len(ratios) < 0.65
    offsets = [drawn(step, noise_offset=1.0, noise_offset_random_strength=True)[0] for step in range(3)]
    assert not any(torch.equal(values, drawn(step, noise_offset=1.0)[0]) for step, values in enumerate(offsets))


def test_a_random_strength_is_drawn_and_multiplied():
    config = Config.from_dict(settings("pictures", noise={"noise_offset": 0.7, "noise_offset_random_strength": True}))
    rng = generator(config.train.seed, "example", 0, 3, 0)
    torch.randn(SHAPE, generator=rng)  # of the latents
    strength = 0.7 * float(torch.rand(1, generator=rng))
    noise = torch.randn(SHAPE, generator=rng)
    expected = noise + strength * torch.randn(4, 1, 1, generator=rng)
    assert torch.allclose(drawn(noise_offset=0.7, noise_offset_random_strength=True)[0], expected)


@pytest.mark.parametrize("timestep", [0, 50, 250, 999])
def test_losses_weigh_timesteps_as_in_sd_scripts(timestep):
    schedule = alphas_cumprod()
    snr = min(1000.0, float(schedule[timestep] / (1 - schedule[timestep])))
    scale = snr / (snr + 1)
    steps = torch.tensor([timestep])
    like = diffusion.loss_weights("epsilon", steps, schedule, v_pred_like_loss=0.3)
    assert float(like) == pytest.approx(1 + 0.3 / scale, rel=1e-4)
    scaled = diffusion.loss_weights("v_prediction", steps, schedule, scale_v_pred_loss_like_noise_pred=True)
    assert float(scaled) == pytest.approx(scale, rel=1e-4)


def test_losses_for_the_other_prediction_are_refused():
    for key, value, prediction in (("v_pred_like_loss", 0.1, "v_prediction"),
                                   ("scale_v_pred_loss_like_noise_pred", True, "epsilon")):
        config = Config.from_dict(settings("pictures", loss={key: value}))
        with pytest.raises(UserError, match=key):
            refuse_other_prediction(config, prediction)
