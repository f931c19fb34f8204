"""Small updates on half-precision weights: none lost on a copy, none lost on average when rounding at random."""

import torch
from torch import nn

from lib_sdtune.optim.master_weights import MasterCopy, StochasticRounding, rounded


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
        trained.prepare_gradient(0.5)
        assert trained.weight.grad is None and trained.value.grad.eq(0.5).all()
        with torch.no_grad():
            trained.value.sub_(trained.value.grad * 2 * step)
        trained.update_model(7, "x", number)
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
