"""Weights of a whole model, stepped in groups, so that only a group's gradients exist in float32.

Stepping inside the backward pass (https://pytorch.org/tutorials/intermediate/optimizer_step_in_backward_tutorial.html)
saves the memory of all gradients but a group's. What needs all of them at once is then impossible: `max_grad_norm`
limits each group's own gradient, and a group whose gradient is not finite stays as it was while others may have moved.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from lib_sdtune import optim
from lib_sdtune.config import Config
from lib_sdtune.methods.base import Method
from lib_sdtune.optim import foreach
from lib_sdtune.optim.master_weights import TrainedWeight
from lib_sdtune.optim.weight_groups import WeightGroup, capacity, largest_group, partition
from lib_sdtune.training import state
from lib_sdtune.training.host_copy import HostCopy
from lib_sdtune.training.optimizer_steps.gradients import shortening, total_norm
from lib_sdtune.training.optimizer_steps.optimizer_step import OptimizerStep
from lib_sdtune.training.optimizer_steps.outcome import Outcome
from lib_sdtune.training.parallel import World
from lib_sdtune.training.precision import LossScale


class AwaitedGroup(NamedTuple):
    """A group whose gradients are prepared, while whether they are finite is on its way from the device."""

    group: WeightGroup
    trained_weights: list[TrainedWeight]
    finite: HostCopy

    def is_finite(self) -> bool:
        """Waits until it is known."""
        ((number,),) = self.finite.numbers()
        return bool(number)


class GroupedStep(OptimizerStep):
    """An optimizer for each group.

    must_be_told: whether the optimizers cannot leave out by themselves what is not finite, so that the program has to
    read whether it is.
    """

    def __init__(self, config: Config, method: Method, scale: LossScale, world: World) -> None:
        super().__init__(config, method, scale, world)
        self.must_be_told = self.reads_at_once or not optim.supports_found_inf(
            config.train.optimizer, config.train.optimizer_args, method.model.device)
        if not self.reads_at_once:
            self.scale = scale.on(method.model.device)

    def build(self) -> None:
        sizes = [trained.weight.numel() for trained in self.trained_weights]
        most, first = capacity(sizes), 0
        self.groups = []
        for group_index, described in enumerate(self.described):
            count = len(described["params"])
            for numbers in partition(sizes[first : first + count], most):
                indices = [first + number for number in numbers]
                values = [self.trained_weights[index].value for index in indices]
                self.groups.append(WeightGroup(self.make([{**described, "params": values}]), indices, group_index))
            first += count

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [group.optimizer for group in self.groups]

    def set_rates(self) -> None:
        for group in self.groups:
            group.optimizer.param_groups[0]["lr"] = self.rates[group.group_index]

    def with_gradients(self, group: WeightGroup) -> list[TrainedWeight]:
        trained_weights = [self.trained_weights[index] for index in group.indices]
        return [trained for trained in trained_weights if trained.weight.grad is not None]

    def apply(self, group: WeightGroup, trained_weights: list[TrainedWeight], finite: bool | torch.Tensor) -> None:
        """Step these weights, whose gradients are prepared, unless those are not finite, and drop the gradients."""
        if isinstance(finite, torch.Tensor):
            group.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
        if isinstance(finite, torch.Tensor) or finite:
            group.optimizer.step()
            trained_weights[0].update_models(trained_weights, *self.rounding_seed(group.indices[0]))
        for trained in trained_weights:
            trained.drop_gradient()

    def outcome(self, norm: torch.Tensor) -> Outcome:
        """The norm of all gradients, which says whether they were finite."""
        if not self.reads_at_once:
            finite = torch.isfinite(norm)
            return Outcome(norm, finite, self.scale.update(finite))
        number = float(norm)
        return Outcome(number, math.isfinite(number), self.scale.update(math.isfinite(number)))

    def largest_group(self) -> int:
        """How many values it has."""
        return largest_group([trained.weight.numel() for trained in self.trained_weights])

    def gradients(self) -> int:
        return self.largest_group() * self.trained_weights[0].gradient_bytes

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        tensors: dict[str, torch.Tensor] = {}
        plain: dict[str, Any] = {"state": {}, "groups": []}
        for group in self.groups:
            group_tensors, numbers = state.optimizer_tensors(group.optimizer, group.indices)
            tensors |= group_tensors
            plain["state"] |= numbers["state"]
        return tensors, plain

    def load(self, training_state: dict[str, Any]) -> None:
        slots = state.slots(training_state)
        for group in self.groups:
            state.restore_optimizer(group.optimizer, {number: slots[index] for number, index in enumerate(group.indices)
                                                      if index in slots})
        self.lay_out_moments()


class FusedBackwardStep(GroupedStep):
    """Each group is stepped, and its gradients dropped, as soon as the backward pass has come to all of its weights.

    Where the optimizers must be told, that is one group later on a GPU: it is at work on the next group's gradients
    while the program reads whether this group's are finite, and so never idle but at the end of a step.
    """

    def begin(self, step: int, total: int) -> None:
        super().begin(step, total)
        self.norms: list[torch.Tensor] = []
        self.awaited: AwaitedGroup | None = None

    def backward(self, loss: torch.Tensor) -> None:
        """A loss that is not finite moves nothing; a gradient that is not, not its own group."""
        self.nan_or_0 = loss.detach() * 0
        with self.listening():
            super().backward(loss)

    @contextmanager
    def listening(self) -> Iterator[None]:
        hooks = []
        for group in self.groups:
            weights = [self.trained_weights[index].weight for index in group.indices]
            learning = [weight for weight in weights if weight.requires_grad]
            arrived = self.after(len(learning), group)
            hooks += [weight.register_post_accumulate_grad_hook(arrived) for weight in learning]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def after(self, count: int, group: WeightGroup) -> Callable[[torch.Tensor], None]:
        """A function that steps the group when it is called for the last of so many weights."""
        missing = count

        def arrived(weight: torch.Tensor) -> None:
            nonlocal missing
            missing -= 1
            if not missing:
                self.move(group)

        return arrived

    @torch.no_grad()
    def move(self, group: WeightGroup) -> None:
        """Step a group, its gradient shortened by itself, and left out where it is not finite."""
        self.step_awaited()
        trained_weights = self.with_gradients(group)
        trained_weights[0].prepare_gradients(trained_weights)
        grads = [grad for trained in trained_weights if (grad := trained.value.grad) is not None]
        norm = total_norm(grads) / self.scale.scale + self.nan_or_0
        foreach.mul_(grads, shortening(norm, self.limit, self.scale.scale))
        self.norms.append(norm)
        finite = torch.isfinite(norm)
        if not self.must_be_told:
            self.apply(group, trained_weights, finite)
            return
        self.awaited = AwaitedGroup(group, trained_weights, HostCopy([finite]))
        if self.reads_at_once:
            self.step_awaited()

    def step_awaited(self) -> None:
        """Step the group whose numbers were on their way, if one is left."""
        awaited, self.awaited = self.awaited, None
        if awaited is not None:
            self.apply(awaited.group, awaited.trained_weights, awaited.is_finite())

    @torch.no_grad()
    def step(self) -> Outcome:
        """Groups of which some weights had no part in the loss are left; then the norm of all."""
        self.step_awaited()
        for group in self.groups:
            if self.with_gradients(group):
                self.move(group)
        self.step_awaited()
        if not self.norms:
            return Outcome(0.0, True)
        return self.outcome(torch.linalg.vector_norm(torch.stack(self.norms)))

    def gradients(self) -> int:
        """A group that is awaited has its own while the next group's arrive."""
        arriving = 0
        if self.must_be_told and not self.reads_at_once:
            arriving = self.largest_group() * self.trained_weights[0].weight.dtype.itemsize
        return super().gradients() + arriving


class GroupedStepAfterBackward(GroupedStep):
    """All gradients in the weights' own format first, shortened by their norm; float32 only for the moment of each
    step.
    """

    @torch.no_grad()
    def step(self) -> Outcome:
        self.world.average([trained.weight for trained in self.trained_weights])
        grads = [trained.weight.grad for trained in self.trained_weights if trained.weight.grad is not None]
        if not grads:
            return Outcome(0.0, True)
        norm = total_norm(grads) / self.scale.scale
        factor, isfinite = shortening(norm, self.limit, self.scale.scale), torch.isfinite(norm)
        finite = bool(isfinite) if self.must_be_told else isfinite
        for group in self.groups:
            trained_weights = self.with_gradients(group)
            if trained_weights:
                trained_weights[0].prepare_gradients(trained_weights, factor)
                self.apply(group, trained_weights, finite)
        return self.outcome(norm)

    def gradients(self) -> int:
        return sum(trained.weight.nbytes for trained in self.trained_weights) + super().gradients()
