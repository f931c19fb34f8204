"""Text encoders whose layers are recomputed in the backward pass answer and learn as before."""

import pytest
import torch

from lib_sdtune.ldm import openclip, recompute, text
from tests.models import tiny_sd1, tiny_sd2

TOWERS = {"sd1": (tiny_sd1, text, lambda tower: tower.text_model.encoder.layers),
          "sd2": (tiny_sd2, openclip, lambda tower: tower.transformer.resblocks)}


@pytest.mark.parametrize("family", TOWERS)
def test_the_same_gradients_from_two_forwards(family, monkeypatch):
    make, module, layers_of = TOWERS[family]
    (tower,), calls, forward = make().text_encoders, [], module.forward
    monkeypatch.setattr(module, "forward", lambda layer, x: calls.append(layer) or forward(layer, x))
    walk = text.hidden_states if family == "sd1" else openclip.hidden_states
    layers, outcomes = list(layers_of(tower)), []
    for marked in (False, True):
        embed = torch.randn(2, 77, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
        with recompute.marked(layers if marked else []):
            states = walk(tower.text_model, None, embed) if family == "sd1" else walk(tower, embed)
            states[-1].square().mean().backward()
        outcomes.append((states[-1].detach(), embed.grad, len(calls)))
        calls.clear()
    (plain, plain_grad, once), (answer, grad, twice) = outcomes
    assert torch.equal(plain, answer) and torch.equal(plain_grad, grad) and grad.count_nonzero()
    assert (once, twice) == (len(layers), 2 * len(layers))
    assert not any(recompute.MARK in vars(layer) for layer in layers)


class Apple(torch.Tensor):
    """A tensor that says it is on an Apple GPU."""

    device = torch.device("mps")


def test_an_apple_gpu_leaves_out_the_same_again(monkeypatch):
    chance = torch.Generator().manual_seed(1)  # the GPU's own
    monkeypatch.setattr(torch.mps, "get_rng_state", chance.get_state)
    monkeypatch.setattr(torch.mps, "set_rng_state", chance.set_state)
    masks = []

    def forward(x):
        masks.append((torch.rand(64, generator=chance) > 0.5).float())
        return (x.as_subclass(torch.Tensor) * masks[-1]).sin()

    x = torch.ones(64).as_subclass(Apple).requires_grad_()
    answer = recompute.recomputed(forward, x)
    now = torch.rand(5, generator=chance)
    later = chance.get_state()
    answer.sum().backward()
    assert len(masks) == 2 and torch.equal(*masks) and now.count_nonzero()
    assert torch.equal(chance.get_state(), later)
