import pytest
import torch

from lib_sdtune.diffusion import alphas_cumprod
from lib_sdtune.errors import UserError
from lib_sdtune.ldm.sampler import SAMPLERS, Noise, between, find, noise_of

ABAR = alphas_cumprod()
SHAPE = (4, 8, 8)


def knows(picture):
    """A model that knows the one picture there is: the noise is whatever else x holds."""
    sigmas = ((1 - ABAR) / ABAR).sqrt()

    def predict(x, timesteps):
        abar = 1 / (1 + between(sigmas, timesteps.float()) ** 2)[:, None, None, None]
        return (x - abar.sqrt() * picture) / (1 - abar).sqrt()

    return predict


def wobbly(x, timesteps):
    return torch.tanh(x * 0.9 + (timesteps / 1000)[:, None, None, None])


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [2, 7, 20])
def test_a_model_that_knows_its_picture_draws_it(name, steps):
    picture = torch.randn(SHAPE, generator=torch.Generator().manual_seed(3))
    drawn = SAMPLERS[name](knows(picture), Noise([1, 2], SHAPE), ABAR, steps)
    close = {"Euler a": 1e-4, "DDIM": 0.2}[name]  # DDIM ends at the first timestep, where a little noise remains
    assert (drawn - picture).abs().max() < close


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_picture_depends_on_its_seed_alone(name):
    def draw(*seeds):
        return SAMPLERS[name](wobbly, Noise(seeds, SHAPE), ABAR, 5)

    together = draw(5, 6, 7)
    assert torch.equal(together, draw(5, 6, 7))
    for i, seed in enumerate((5, 6, 7)):
        assert torch.allclose(together[i:i + 1], draw(seed), atol=1e-5)
    assert not torch.allclose(together[0], together[1])


def test_noise_is_the_webuis():
    """Each seed's own generator, asked again for every step."""
    noise, mine = Noise([9], SHAPE), torch.Generator().manual_seed(9)
    for _ in range(3):
        assert torch.equal(noise.next()[0], torch.randn(SHAPE, generator=mine))


def test_ddim_takes_the_webuis_timesteps():
    seen = []

    def predict(x, timesteps):
        seen.append(int(timesteps[0]))
        return x

    SAMPLERS["DDIM"](predict, Noise([1], SHAPE), ABAR, 5)
    assert seen == [801, 601, 401, 201]


def test_euler_a_takes_k_diffusions_timesteps():
    seen = []

    def predict(x, timesteps):
        seen.append(float(timesteps[0]))
        return x

    SAMPLERS["Euler a"](predict, Noise([1], SHAPE), ABAR, 4)
    assert seen == pytest.approx([999, 666, 333, 0])


def test_velocity_speaks_of_the_same_noise():
    chance = torch.Generator().manual_seed(1)
    x0, noise = torch.randn(2, *SHAPE, generator=chance), torch.randn(2, *SHAPE, generator=chance)
    t = torch.tensor([10, 900])
    abar = ABAR[t][:, None, None, None]
    x, v = abar.sqrt() * x0 + (1 - abar).sqrt() * noise, abar.sqrt() * noise - (1 - abar).sqrt() * x0
    assert torch.allclose(noise_of(v, x, t, ABAR, "v_prediction"), noise, atol=1e-5)
    assert noise_of(v, x, t, ABAR, "epsilon") is v


def test_names():
    assert find("")[0] == "Euler a" and find("ddim")[0] == "DDIM"
    with pytest.raises(UserError, match="Euler a"):
        find("Euler b")
