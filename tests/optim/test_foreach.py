"""Lists of tensors where torch has no kernels for them: one by one, with the same numbers."""

from pathlib import Path

import pytest
import torch

from lib_sdtune.optim import foreach
from lib_sdtune.training.optimizer_steps.gradients import total_norm

SHAPES = [(5,), (3, 4, 2, 2), (7, 3)]


def tensors(seed, dtype=torch.float32):
    return [torch.randn(shape, generator=torch.Generator().manual_seed(seed + number)).to(dtype) for number, shape in enumerate(SHAPES)]


OPERATIONS = {
    "copy_": lambda lists: foreach.copy_(lists, tensors(9, torch.float16)),
    "add_": lambda lists: foreach.add_(lists, tensors(9)),
    "mul_ by a number": lambda lists: foreach.mul_(lists, 0.3),
    "mul_ by a tensor": lambda lists: foreach.mul_(lists, torch.tensor(0.3)),
    "norm": lambda lists: lists.extend(foreach.norm(list(lists))),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_one_by_one_is_the_same_as_together(name, monkeypatch):
    together, singly = tensors(1), tensors(1)
    OPERATIONS[name](together)
    monkeypatch.setattr(foreach, "has_kernels", lambda lists: False)
    OPERATIONS[name](singly)
    assert all(torch.equal(a, b) for a, b in zip(together, singly, strict=True))
    untouched = tensors(1)
    changed = len(together) > len(untouched) or not torch.equal(together[0], untouched[0])
    assert changed, "nothing was done"


def test_a_norm_of_float16_is_finite_where_its_values_are():
    """Gradients of a whole model on a card without bfloat16, with the loss scale in them."""
    large = [torch.full((100, 100), 60000.0, dtype=torch.float16), torch.ones(3)]
    assert total_norm(large) == pytest.approx(60000 * 100, rel=1e-3)
    assert torch.isinf(total_norm([large[0] * 2]))


@pytest.mark.parametrize(("version", "device", "expected"), [
    ("2.1.2", "cpu", True), ("2.1.2+cu121", "cuda", True), ("2.3.1", "mps", False), ("2.1.2", "privateuseone", False), ("2.13.0", "mps", True)])
def test_old_torch_has_no_kernels_but_for_cpu_and_cuda(version, device, expected, monkeypatch):
    class OnDevice:
        def __init__(self):
            self.device = torch.device(device)

    monkeypatch.setattr(torch, "__version__", version)
    assert foreach.has_kernels([OnDevice()]) is expected


def test_nobody_goes_past_it():
    """`sync_free_lion` steps on CUDA alone."""
    package = Path(foreach.__file__).parents[1]
    direct = [path.name for path in package.rglob("*.py") if "torch._foreach_" in path.read_text(encoding="utf-8")]
    assert sorted(direct) == ["foreach.py", "sync_free_lion.py"]
