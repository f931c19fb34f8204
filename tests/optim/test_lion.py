"""Lion: the package's steps, and those that a tensor on the device leaves out."""

import pytest
import torch
from torch import nn

from lib_sdtune import optim

SHAPES = [(5,), (3, 4, 2, 2), (7, 3), (2, 3, 1, 1)]


def lion(found_inf=None, **arguments):
    """(an optimizer over parameters of several shapes and layouts, these parameters)."""
    params = [nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(number)))
              for number, shape in enumerate(SHAPES)]
    params[1].data = params[1].data.to(memory_format=torch.channels_last)
    optimizer = optim.make("Lion", arguments, [{"params": params, "lr": 1e-2}])
    optimizer.found_inf = None if found_inf is None else torch.tensor(found_inf)
    return optimizer, params


def step(optimizer, params, number):
    for place, param in enumerate(params):
        param.grad = torch.randn(param.shape, generator=torch.Generator().manual_seed(100 * number + place))
    params[2].grad = None
    optimizer.step()


def bits(optimizer, params):
    moments = [optimizer.state[param].get("exp_avg", torch.zeros(1)) for param in params]
    return [tensor.detach().clone().view(torch.int32) for tensor in (*params, *moments)]


@pytest.mark.parametrize("arguments", [{}, {"weight_decay": 0.1}, {"weight_decay": 1e-3, "decoupled_weight_decay": True},
                                       {"betas": [0.95, 0.98]}])
def test_steps_that_nobody_waits_for_are_the_packages(arguments):
    (plain, expected), (queued, params) = lion(**arguments), lion(found_inf=0.0, **arguments)
    for number in range(3):
        step(plain, expected, number)
        step(queued, params, number)
    for expected_bits, queued_bits in zip(bits(plain, expected), bits(queued, params), strict=True):
        assert torch.equal(expected_bits, queued_bits)


@pytest.mark.parametrize("broken", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_step_that_is_left_out_keeps_every_bit(broken, decay):
    optimizer, params = lion(found_inf=0.0, weight_decay=decay)
    step(optimizer, params, 1)
    with torch.no_grad():
        params[0][0] = -0.0
    before = bits(optimizer, params)
    optimizer.found_inf = torch.tensor(1.0)
    params[0].grad, params[1].grad = torch.full_like(params[0], float(broken)), torch.full_like(params[1], 7.0)
    optimizer.step()
    assert all(torch.equal(bits_before, bits_after) for bits_before, bits_after in zip(before, bits(optimizer, params), strict=True))
    optimizer.found_inf = torch.tensor(0.0)
    step(optimizer, params, 2)
    assert not torch.equal(before[0], bits(optimizer, params)[0])
