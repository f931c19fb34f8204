"""All gradients at once."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lib_sdtune import optim
from lib_sdtune.config import Config
from lib_sdtune.methods.base import Method
from lib_sdtune.optim.half_copies import HalfCopies
from lib_sdtune.optim.master_weights import TrainedWeight, laid_out_as
from lib_sdtune.optim.schedule import rate
from lib_sdtune.optim.schedule_free import showing_means
from lib_sdtune.optim.schedules import SETTINGS
from lib_sdtune.optim.weight_groups import capacity, partition
from lib_sdtune.training import state
from lib_sdtune.training.memory.free import free_memory
from lib_sdtune.training.optimizer_steps.outcome import Outcome
from lib_sdtune.training.parallel import World
from lib_sdtune.training.precision import LossScale


class OptimizerStep:
    """Every gradient first, then one step of one optimizer, shortened by the norm of all of them.

    reads_at_once: whether a step's numbers are read at its end, because that is no waiting for a device of its own, or
    because others train along.
    """

    def __init__(self, config: Config, method: Method, scale: LossScale, world: World) -> None:
        self.train, self.world = config.train, world
        self.reads_at_once = world.size > 1 or method.model.device.type != "cuda"
        self.scale: Any = scale  # a `LossScale`, or a `DeviceLossScale` where nobody waits
        self.described = method.parameter_groups()
        self.trained_weights = method.trained_weights()
        self.limit = config.train.max_grad_norm or math.inf
        self.finite, self.number = True, 0
        self.offloaded: torch.device | None = None
        self.rates: list[float] = []
        self.halves: HalfCopies | None = None
        self.build()

    def use_halves(self, halves: HalfCopies | None) -> None:
        """The forward reads these copies of what learns; None: it reads what learns."""
        self.halves = halves

    def leaves(self) -> list[torch.Tensor]:
        """The tensors that the forward reads and gradients arrive at."""
        return self.halves.copies if self.halves else [trained.weight for trained in self.trained_weights]

    def build(self) -> None:
        self.optimizer = self.make(self.described)

    def make(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """An optimizer over described groups; further keys of theirs are its own."""
        plain = [
            {**{key: value for key, value in group.items() if key != "name"}, "lr": rate(group["lr"], 0, 1)}
            for group in groups
        ]
        return optim.make(self.train.optimizer, self.train.optimizer_args, plain)

    def begin(self, step: int, total: int) -> None:
        """Set the rates of step `step` (from 0) of `total`."""
        self.reload()
        train = self.train
        self.number, self.finite = step, True
        shape = {name: getattr(train, setting) for name, setting in SETTINGS.items()}
        self.rates = [rate(group["lr"], step, total, train.lr_scheduler, train.lr_warmup_steps, **shape)
                      for group in self.described]
        self.set_rates()

    def set_rates(self) -> None:
        for group, lr in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = lr

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of a loss."""
        (loss * self.scale.scale).backward()
        if self.halves:
            self.halves.collect_gradients()

    def step(self) -> Outcome:
        """Apply the gradients, unless they are not finite."""
        self.world.average([trained.weight for trained in self.trained_weights])
        self.prepare_gradients(1 / self.scale.scale)
        norm = float(torch.nn.utils.clip_grad_norm_([trained.value for trained in self.trained_weights], self.limit))
        self.finite = self.finite and math.isfinite(norm)
        if self.finite:
            self.optimizer.step()
            for indices in self.portions():
                self.trained_weights[0].update_models(self.some(indices), *self.rounding_seed(indices[0]))
            if self.halves:
                self.halves.refresh()
        self.drop_gradients()
        return Outcome(norm, self.finite, self.scale.update(self.finite))

    def prepare_gradients(self, factor: float = 1) -> None:
        """The gradients that arrived, times `factor`, are where the optimizer looks for them."""
        for indices in self.portions():
            self.trained_weights[0].prepare_gradients(self.some(indices), factor)

    def drop_gradients(self) -> None:
        for trained in self.trained_weights:
            trained.drop_gradient()

    def portions(self) -> list[list[int]]:
        """Numbers of weights whose gradients change their format together: they are in memory twice meanwhile."""
        sizes = [trained.weight.numel() for trained in self.trained_weights]
        return partition(sizes, capacity(sizes))

    def some(self, indices: list[int]) -> list[TrainedWeight]:
        return [self.trained_weights[index] for index in indices]

    def rounding_seed(self, index: int) -> tuple[Any, ...]:
        return self.train.seed, "rounding", self.number, index

    @contextmanager
    def showing_result(self) -> Iterator[None]:
        """What learns holds what a file should hold, where the optimizer steps something else."""
        if not optim.keeps_mean(self.train.optimizer):
            yield
            return
        with showing_means(self.optimizers(), [trained.value for trained in self.trained_weights]):
            self.refresh_halves()
            try:
                yield
            finally:
                self.reload()  # where pictures lacked room; the means are turned back on the device
        self.refresh_halves()

    def refresh_halves(self) -> None:
        if self.halves:
            self.halves.refresh()

    # memory

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [self.optimizer]

    def release(self) -> None:
        """Free gradients and what the optimizers remember, for the weights to go back; nothing can be stepped
        afterwards.
        """
        for trained in self.trained_weights:
            trained.release()
        for optimizer in self.optimizers():
            optimizer.state.clear()

    def offload(self) -> None:
        """What the optimizers remember goes to the computer's memory until the next step, if that has room for it."""
        free = free_memory(torch.device("cpu"))
        if self.offloaded is None and (free is None or self.bytes() + self.copies() < free):
            self.offloaded = self.trained_weights[0].weight.device
            self.move_state("cpu")

    def reload(self) -> None:
        if self.offloaded is not None:
            self.move_state(self.offloaded)
            self.offloaded = None

    def move_state(self, device: torch.device | str) -> None:
        for trained in self.trained_weights:
            trained.move(device)
        for optimizer in self.optimizers():
            for slots in optimizer.state.values():
                for slot, value in slots.items():
                    if isinstance(value, torch.Tensor) and value.device.type != "meta":
                        slots[slot] = value.to(device)

    def bytes(self) -> int:
        """About how much the optimizer will remember."""
        return optim.bytes_of(self.train.optimizer) * sum(trained.weight.numel() for trained in self.trained_weights)

    def memory(self) -> int:
        """Bytes beside the model that a step takes at least, without activations."""
        return self.bytes() + self.copies() + self.gradients()

    def copies(self) -> int:
        return sum(4 * trained.weight.numel() for trained in self.trained_weights if not trained.lives_in_model)

    def gradients(self) -> int:
        return sum(trained.weight.numel() * trained.gradient_bytes for trained in self.trained_weights)

    # resume

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """(name -> tensor, plain numbers) of everything that the optimizer remembers."""
        return state.optimizer_tensors(self.optimizer)

    def load(self, training_state: dict[str, Any]) -> None:
        """Take over what `state` gave, as `state.load` found it."""
        state.restore_optimizer(self.optimizer, state.slots(training_state), training_state["optimizer"]["groups"])
        self.lay_out_moments()
        if self.halves:
            self.halves.refresh()

    def lay_out_moments(self) -> None:
        """Files hold tensors in the order of their dimensions; what is kept for a channels_last weight has its strides
        again.
        """
        weights = {id(trained.value): trained.weight for trained in self.trained_weights}
        for optimizer in self.optimizers():
            for value, slots in optimizer.state.items():
                for slot, moment in slots.items():
                    if isinstance(moment, torch.Tensor) and moment.shape == weights[id(value)].shape:
                        slots[slot] = laid_out_as(moment, weights[id(value)])
