"""Layer norms in half precision: the same values as behind autocast's casts, without them, and only where all fits."""

import pytest
import torch
from torch import nn

from lib_sdtune.training.layer_norms import in_half_precision
from tests.pretended import pretended_cuda

HALVES = [torch.float16, torch.bfloat16]
ROUNDING = {torch.float16: 2**-10, torch.bfloat16: 2**-7}


@pytest.fixture
def card():
    with pretended_cuda() as card:
        yield card


def layer(dtype, device="cuda"):
    torch.manual_seed(0)
    norm = nn.LayerNorm(16)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    return nn.Sequential(norm).to(device, dtype)


def values(dtype, device="cuda", scale=30.0):
    return (scale * torch.randn(4, 16, generator=torch.Generator().manual_seed(1))).to(device, dtype)


def passed(modules, x, dtype):
    """(answer, gradient of x) under autocast."""
    x = x.detach().requires_grad_(True)
    with torch.autocast("cuda", dtype=dtype):
        answer = modules(x)
    answer.float().pow(2).sum().backward()
    return answer, x.grad


@pytest.mark.parametrize("dtype", HALVES)
def test_the_answer_and_its_gradient_are_those_of_autocast_rounded_once(card, dtype):
    modules = layer(dtype)
    expected, expected_grad = passed(modules, values(dtype), dtype)
    with in_half_precision([modules]):
        answer, grad = passed(modules, values(dtype), dtype)
    assert (expected.dtype, answer.dtype) == (torch.float32, dtype)
    assert torch.allclose(answer.float().cpu(), expected.cpu(), rtol=ROUNDING[dtype], atol=ROUNDING[dtype])
    assert torch.allclose(grad.float().cpu(), expected_grad.float().cpu(), rtol=8 * ROUNDING[dtype], atol=16 * ROUNDING[dtype])


@pytest.mark.parametrize("dtype", HALVES)
def test_nothing_is_cast_between_two_linear_layers(card, dtype):
    block = nn.Sequential(nn.Linear(16, 16), *layer(dtype), nn.Linear(16, 16)).to("cuda", dtype).requires_grad_(False)
    with in_half_precision([block]), card.counting() as counts:
        passed(block, values(dtype), dtype)
    casts = counts.launches["aten._to_copy.default"]
    with card.counting() as counts:
        passed(block, values(dtype), dtype)
    assert counts.launches["aten._to_copy.default"] - casts >= 4, counts.launches


@pytest.mark.parametrize(("weights", "x", "autocast"), [
    (torch.float16, torch.float32, torch.float16), (torch.float32, torch.float16, torch.float16),
    (torch.float32, torch.float32, torch.float16), (torch.bfloat16, torch.bfloat16, torch.float16),
    (torch.float16, torch.float16, torch.bfloat16)], ids=str)
def test_where_formats_differ_autocast_decides(card, weights, x, autocast):
    modules = layer(weights)
    with in_half_precision([modules]), torch.autocast("cuda", dtype=autocast):
        assert modules(values(x)).dtype == torch.float32


def test_without_autocast_the_layer_is_as_it_was(card):
    modules = layer(torch.float16)
    with in_half_precision([modules]):
        assert modules(values(torch.float16)).dtype == torch.float16
        assert not torch.is_autocast_enabled()


def test_autocast_is_on_again_behind_the_layer_and_behind_its_failure(card):
    modules = layer(torch.float16)
    with in_half_precision([modules]), torch.autocast("cuda", dtype=torch.float16):
        modules(values(torch.float16))
        assert torch.is_autocast_enabled()
        with pytest.raises(RuntimeError):
            modules(values(torch.float16)[:, :3])
        assert torch.is_autocast_enabled()


@pytest.mark.parametrize("fails", [False, True])
def test_the_layers_own_forward_is_back_afterwards(card, fails):
    modules = layer(torch.float16)
    try:
        with in_half_precision([modules]):
            assert "forward" in vars(modules[0])
            if fails:
                raise ValueError
    except ValueError:
        assert fails
    assert "forward" not in vars(modules[0])


def test_group_norms_and_other_devices_keep_autocasts_float32(card):
    groups = nn.Sequential(nn.GroupNorm(2, 16)).to("cuda", torch.float16)
    on_cpu = layer(torch.bfloat16, "cpu")
    with in_half_precision([groups, on_cpu]):
        with torch.autocast("cuda", dtype=torch.float16):
            assert groups(values(torch.float16)[..., None]).dtype == torch.float32
        assert "forward" not in vars(on_cpu[0])
