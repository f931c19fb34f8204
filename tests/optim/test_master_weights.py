"""Small updates on half-precision weights: none lost on a copy, none lost on average when rounding at random."""

import pytest
import torch
from torch import nn

from lib_sdtune.optim.master_weights import MasterCopy, StochasticRounding, TrainedWeight, rounded


def test_rounding_at_random_is_right_on_average_and_repeatable():
    values = torch.full((100_000,), 1 + 0.0078125 / 8)  # an eighth of the way to bfloat16's next number
    once = rounded(values, 1, "rounding", 5)
    assert set(once.tolist()) == {1.0, 1.0078125} and abs(once.float().mean() - values[0]) < 1e-4
    assert torch.equal(once, rounded(values, 1, "rounding", 5)) and not torch.equal(once, rounded(values, 1, "rounding", 6))


def test_rounding_keeps_what_bfloat16_holds_and_both_signs():
    values = torch.tensor([0.0, -0.0, 1.0, -2.5, 1e-30, -3e38]).bfloat16().float()
    assert torch.equal(rounded(values, 0, "x").float(), values)
    negative = rounded(torch.full((10_000,), -1 - 0.0078125 / 2), 0, "x").float()
    assert abs(negative.mean() + 1 + 0.0078125 / 2) < 1e-3


def moved(trained, step, times):
    for number in range(times):
        trained.weight.grad = torch.ones_like(trained.weight)
        trained.prepare_gradients([trained], 0.5)
        assert trained.weight.grad is None and trained.value.grad.eq(0.5).all()
        with torch.no_grad():
            trained.value.sub_(trained.value.grad * 2 * step)
        trained.update_models([trained], 7, "x", number)
        trained.drop_gradient()
    return 1 - trained.weight.detach().float().mean().item()


def test_a_thousand_small_steps_add_up():
    weight = nn.Parameter(torch.ones(64, 64, dtype=torch.bfloat16))
    assert (weight.detach() - 1e-4 == weight.detach()).all()  # what plain bfloat16 makes of such a step
    copied = MasterCopy(nn.Parameter(weight.detach().clone()))
    copied.load_values(weight.detach())
    assert abs(moved(copied, 1e-4, 100) - 0.01) < 0.002 and abs(1 - copied.full_precision().mean() - 0.01) < 1e-5
    held = StochasticRounding(weight)
    assert abs(moved(held, 1e-4, 100) - 0.01) < 0.001 and held.value.numel() == 0


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", [MasterCopy, StochasticRounding])
def test_weights_of_a_group_are_moved_as_each_alone(kind, layout):
    """Of several shapes and layouts in one piece of memory, one of them without a gradient."""
    weights = [torch.randn(shape).bfloat16() for shape in [(5,), (3, 4, 2, 2), (7, 3), (2, 3, 1, 1)]]
    weights = [weight.to(memory_format=layout) if weight.ndim == 4 else weight for weight in weights]
    trained = [kind(nn.Parameter(weight.clone())) for weight in weights]
    for each in trained:
        if kind is MasterCopy:
            each.load_values(each.weight.detach())
        each.weight.grad = torch.full_like(each.weight, 2)
    trained[2].weight.grad = None
    kind.prepare_gradients(trained, torch.tensor(0.5))
    present = [trained[0], trained[1], trained[3]]
    for each in present:
        assert each.value.grad.eq(1).all() and each.value.grad.stride() == each.value.stride() == each.weight.stride()
        assert torch.equal(each.value, each.weight.float())
        with torch.no_grad():
            each.value.add_(1)
    kind.update_models(present, 1, "rounding", 2)
    for each, weight in zip(trained, weights, strict=True):
        moved = weight.float() + (each is not trained[2])
        assert torch.allclose(each.weight.float(), moved, rtol=2**-7)


@pytest.mark.parametrize("kind", [TrainedWeight, MasterCopy, StochasticRounding])
def test_a_step_on_a_contiguous_copy_counts(kind):
    """As bitsandbytes does with weights in channels_last, which --opt-channelslast makes."""
    weight = nn.Parameter(torch.ones(2, 3, 3, 3, dtype=torch.bfloat16).to(memory_format=torch.channels_last))
    trained = kind(weight)
    if kind is MasterCopy:
        trained.load_values(weight.detach())
    weight.grad = torch.ones_like(weight)
    kind.prepare_gradients([trained])
    with torch.no_grad():
        trained.value.data = trained.value.data.contiguous()
        trained.value.data.sub_(0.5)
    kind.update_models([trained], 1, "rounding", 2)
    assert weight.eq(0.5).all()
