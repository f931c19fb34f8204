"""A VAE of another family with the same shapes is told by what it makes of colours."""

import logging

import pytest
import torch
from torch import nn

from lib_sdtune.families import latent_colours, registry
from lib_sdtune.families.latent_colours import resembled
from tests.hosts import TinyHost, settings, train
from tests.models import TINY


class Like(nn.Module):
    """An encoder whose scaled latents are just what a family's map makes colours of again."""

    def __init__(self, family, noise=0.0):
        super().__init__()
        table = torch.tensor(family.latent_colours)
        table = table + noise * torch.randn(table.shape, generator=torch.Generator().manual_seed(0))
        self.register_parameter("map", nn.Parameter(torch.linalg.pinv(table).T / family.scale_factor, requires_grad=False))

    def forward(self, pixels):
        latents = torch.einsum("lc,bchw->blhw", self.map, pixels)
        return torch.cat([latents, torch.full_like(latents, -20)], dim=1)[..., ::8, ::8]


def with_vae_of(model, other, noise=0.0):
    model.vae.encoder, model.vae.quant_conv = Like(registry[other](), noise), nn.Conv2d(8, 8, 1).requires_grad_(False)
    model.vae.quant_conv.weight.copy_(torch.eye(8)[:, :, None, None])
    model.vae.quant_conv.bias.zero_()
    return model


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("other", TINY)
@pytest.mark.parametrize("family", TINY)
def test_only_another_familys_is_told(family, other, noise):
    model = with_vae_of(TINY[family](), other, noise)
    resembling = resembled(model)
    foreign = (family == "sdxl") is not (other == "sdxl")  # SD1 and SD2 share theirs
    assert (resembling is not None) is foreign
    assert not foreign or resembling.latent_colours == registry[other].latent_colours


@pytest.mark.parametrize("family", TINY)
def test_a_vae_of_nobodys_and_a_broken_one_are_let_pass(family):
    for seed in range(3):
        assert resembled(TINY[family](seed=seed)) is None
    model = TINY[family]()
    model.vae.quant_conv.bias.fill_(float("nan"))
    assert resembled(model) is None


def test_the_run_says_it_in_a_line(tmp_path, images, caplog):
    host = TinyHost(tmp_path / "data")
    with_vae_of(host.model, "sdxl")
    with caplog.at_level(logging.WARNING, "sdtune"):
        train(host, settings(images, train={"max_train_steps": 1}))
    assert "as SDXL's does, and the model is of SD1" in caplog.text


def test_the_maps_are_far_from_each_other():
    """Red and blue stand the other way round: the two cannot be mistaken by a picture that is darker or paler."""
    sd1, sdxl = (torch.tensor(registry[name].latent_colours) for name in ("sd1", "sdxl"))
    turned = [table[:, 0] - table[:, 2] for table in (sd1, sdxl)]
    assert torch.cosine_similarity(*turned, dim=0) < -0.5 and latent_colours.CLEARLY > 2 * latent_colours.HARDLY - 1e-9
