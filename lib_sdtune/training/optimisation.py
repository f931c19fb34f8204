"""How gradients become steps: all together, tensor by tensor afterwards, or each as soon as the backward pass has its
gradient.

Stepping inside the backward pass (https://pytorch.org/tutorials/intermediate/optimizer_step_in_backward_tutorial.html)
saves the memory of all gradients but one. What needs all of them at once is then impossible: `max_grad_norm` limits
each tensor's own gradient, and a tensor whose gradient is not finite stays as it was while others may have moved.
"""

import math
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from lib_sdtune import optim
from lib_sdtune.config import Config
from lib_sdtune.methods.base import Method
from lib_sdtune.optim.half_copies import HalfCopies
from lib_sdtune.optim.master_weights import laid_out_as
from lib_sdtune.optim.schedule import rate, shape
from lib_sdtune.training import state
from lib_sdtune.training.parallel import World
from lib_sdtune.training.precision import LossScale

SMALL = 2**14  # values; most tensors are smaller than that, and all of them together are next to nothing


class Outcome(NamedTuple):
    """What came of a step: numbers, or tensors of one number on the device where nobody has waited for them.

    finite: whether the gradients were, and so were applied; excused: whether only the loss scale was too large for them.
    """

    norm: float | torch.Tensor
    finite: bool | torch.Tensor
    excused: bool | torch.Tensor = False


def choose(config: Config, method: Method, scale: LossScale, world: World) -> "Together":
    """The way that suits: tensor by tensor where the method wants that and the optimiser does not need all at once."""
    if not method.fused_backward or optim.needs_all(config.train.optimizer):
        queued = world.size == 1 and optim.skips_by_itself(config.train, method.model.device)
        way: type[Together] = Queued if queued else Together
    elif world.size > 1 or config.train.gradient_accumulation_steps > 1:
        way = TensorByTensor
    else:
        way = OneByOne
    return way(config, method, scale, world)


class Together:
    """Every gradient first, then one step of one optimiser, shortened by the norm of all of them.

    waits: whether the program waits for the device in a step, to know if the gradients are finite.
    """

    waits = True

    def __init__(self, config: Config, method: Method, scale: LossScale, world: World):
        self.train, self.world = config.train, world
        self.scale: Any = scale  # a `LossScale`, or a `DeviceLossScale` where nobody waits
        self.described = method.parameter_groups()
        self.trained_weights = method.trained_weights()
        self.limit = config.train.max_grad_norm or math.inf
        self.finite, self.number, self.offloaded = True, 0, None
        self.rates: list[float] = []
        self.halves: HalfCopies | None = None
        self.build()

    def use_halves(self, halves: HalfCopies | None) -> None:
        """The forward reads these copies of what learns; None: it reads what learns."""
        self.halves = halves

    def build(self):
        self.optimizer = self.make(self.described)

    def make(self, groups):
        """An optimiser over described groups; further keys of theirs are its own."""
        plain = [{**{key: value for key, value in group.items() if key != "name"}, "lr": rate(group["lr"], 0, 1)} for group in groups]
        return optim.make(self.train, plain)

    def begin(self, step, total):
        """Set the rates of step `step` (from 0) of `total`."""
        self.reload()
        train = self.train
        self.number, self.finite = step, True
        self.rates = [rate(group["lr"], step, total, train.lr_scheduler, train.lr_warmup_steps, **shape(train))
                      for group in self.described]
        self.set_rates()

    def set_rates(self):
        for group, lr in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = lr

    def backward(self, loss):
        """Gradients of a loss."""
        (loss * self.scale.scale).backward()
        if self.halves:
            self.halves.collect_gradients()

    def step(self) -> Outcome:
        """Apply the gradients, unless they are not finite."""
        self.world.average([trained.weight for trained in self.trained_weights])
        for trained in self.trained_weights:
            trained.prepare_gradient(1 / self.scale.scale)
        norm = float(torch.nn.utils.clip_grad_norm_([trained.value for trained in self.trained_weights], self.limit))
        self.finite = self.finite and math.isfinite(norm)
        if self.finite:
            self.optimizer.step()
            for index, trained in enumerate(self.trained_weights):
                trained.update_model(*self.rounding_seed(index))
            if self.halves:
                self.halves.refresh()
        for trained in self.trained_weights:
            trained.drop_gradient()
        return Outcome(norm, self.finite, self.scale.update(self.finite))

    def rounding_seed(self, index):
        return self.train.seed, "rounding", self.number, index

    # memory

    def optimizers(self):
        return [self.optimizer]

    def release(self):
        """Free gradients and what the optimisers remember, for the weights to go back; nothing can be stepped afterwards."""
        for trained in self.trained_weights:
            trained.release()
        for optimizer in self.optimizers():
            optimizer.state.clear()

    def offload(self):
        """What the optimisers remember goes to the computer's memory until the next step."""
        if self.offloaded is None:
            self.offloaded = self.trained_weights[0].weight.device
            self.move_state("cpu")

    def reload(self):
        if self.offloaded is not None:
            self.move_state(self.offloaded)
            self.offloaded = None

    def move_state(self, device):
        for trained in self.trained_weights:
            trained.move(device)
        for optimizer in self.optimizers():
            for slots in optimizer.state.values():
                for slot, value in slots.items():
                    if isinstance(value, torch.Tensor) and value.device.type != "meta":
                        slots[slot] = value.to(device)

    def bytes(self):
        """About how much the optimiser will remember."""
        return optim.bytes_of(self.train.optimizer) * sum(trained.weight.numel() for trained in self.trained_weights)

    def memory(self):
        """Bytes beside the model that a step takes at least, without activations."""
        return self.bytes() + self.copies() + self.gradients()

    def copies(self):
        return sum(4 * trained.weight.numel() for trained in self.trained_weights if not trained.lives_in_model)

    def gradients(self):
        return sum(trained.weight.numel() * trained.gradient_bytes for trained in self.trained_weights)

    # resume

    def state(self):
        """(name -> tensor, plain numbers) of everything that the optimiser remembers."""
        return state.optimizer_tensors(self.optimizer)

    def load(self, training_state):
        """Take over what `state` gave, as `state.load` found it."""
        state.restore_optimizer(self.optimizer, state.slots(training_state), training_state["optimizer"]["groups"])
        self.lay_out_moments()
        if self.halves:
            self.halves.refresh()

    def lay_out_moments(self):
        """Files hold tensors in the order of their dimensions; what is kept for a channels_last weight has its strides again."""
        weights = {id(trained.value): trained.weight for trained in self.trained_weights}
        for optimizer in self.optimizers():
            for value, slots in optimizer.state.items():
                for slot, moment in slots.items():
                    if isinstance(moment, torch.Tensor) and moment.shape == weights[id(value)].shape:
                        slots[slot] = laid_out_as(moment, weights[id(value)])


class Queued(Together):
    """Nothing waits for the device: what is not finite is left out by the optimiser itself, told by a tensor."""

    waits = False

    def __init__(self, config: Config, method: Method, scale: LossScale, world: World):
        super().__init__(config, method, scale, world)
        self.scale = scale.on(method.model.device)

    @torch.no_grad()
    def step(self) -> Outcome:
        for trained in self.trained_weights:
            trained.prepare_gradient(1)
        grads = [trained.value.grad for trained in self.trained_weights if trained.value.grad is not None]
        norm = total_norm(grads) / self.scale.scale
        finite = torch.isfinite(norm)
        torch._foreach_mul_(grads, (self.limit / (norm + 1e-6)).clamp(max=1) / self.scale.scale)
        self.optimizer.found_inf = (~finite).float()
        self.optimizer.step()
        if self.halves:
            self.halves.refresh()
        for trained in self.trained_weights:
            trained.drop_gradient()
        return Outcome(norm, finite, self.scale.update(finite))


class OneByOne(Together):
    """Each large tensor is stepped and its gradient dropped in the middle of the backward pass, the small ones after it."""

    def build(self):
        places = [place for place, group in enumerate(self.described) for _ in group["params"]]
        sizes = [trained.weight.numel() for trained in self.trained_weights]
        self.alone = {index: self.part_of([index], places) for index, size in enumerate(sizes) if size > SMALL}
        self.small = [index for index, size in enumerate(sizes) if size <= SMALL]
        self.parts = [*self.alone.values(), *([self.part_of(self.small, places)] if self.small else [])]
        self.squares = []

    def optimizers(self):
        return [part.optimizer for part in self.parts]

    def part_of(self, indices, places):
        """An optimiser of some weights, which knows their numbers and those of their groups."""
        used = sorted({places[index] for index in indices})
        values = {place: [self.trained_weights[index].value for index in indices if places[index] == place] for place in used}
        return Part(self.make([{**self.described[place], "params": values[place]} for place in used]), indices, used)

    def set_rates(self):
        self.squares = []
        for part in self.parts:
            for group, place in zip(part.optimizer.param_groups, part.places, strict=True):
                group["lr"] = self.rates[place]

    def backward(self, loss):
        """A loss that is not finite moves nothing; a gradient that is not, not its own tensor."""
        if not torch.isfinite(loss.detach()):
            self.finite = False
            return
        with self.listening():
            super().backward(loss)

    @contextmanager
    def listening(self):
        def step_at_once(index):
            return lambda weight: self.move([index], self.alone[index])

        hooks = [self.trained_weights[index].weight.register_post_accumulate_grad_hook(step_at_once(index))
                 for index in self.alone if self.trained_weights[index].weight.requires_grad]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @torch.no_grad()
    def move(self, indices, part):
        """Step these weights, each gradient shortened by itself and left out where it is not finite."""
        trained_weights = [self.trained_weights[index] for index in indices]
        for trained in trained_weights:
            trained.prepare_gradient(1 / self.scale.scale)
        norms = torch.stack(torch._foreach_norm([trained.value.grad for trained in trained_weights])).tolist()
        self.squares += [norm**2 for norm in norms]
        for trained, norm in zip(trained_weights, norms, strict=True):
            if not math.isfinite(norm):
                self.finite = False
                trained.drop_gradient()
            elif norm > self.limit:
                trained.value.grad.mul_(self.limit / (norm + 1e-6))
        part.optimizer.step()
        for index, trained in zip(indices, trained_weights, strict=True):
            if trained.value.grad is not None:
                trained.update_model(*self.rounding_seed(index))
                trained.drop_gradient()

    def gradients(self):
        return max(trained.weight.numel() * trained.gradient_bytes for trained in self.trained_weights)

    def step(self):
        waiting = [index for index in self.small if self.trained_weights[index].weight.grad is not None]
        if waiting:
            self.move(waiting, self.parts[-1])
        norm = math.sqrt(sum(self.squares)) if self.finite else math.nan
        return Outcome(norm, self.finite, self.scale.update(self.finite))

    def state(self):
        tensors, plain = {}, {"state": {}, "groups": []}
        for part in self.parts:
            part_tensors, numbers = state.optimizer_tensors(part.optimizer, part.indices)
            tensors |= part_tensors
            plain["state"] |= numbers["state"]
        return tensors, plain

    def load(self, training_state):
        slots = state.slots(training_state)
        for part in self.parts:
            state.restore_optimizer(part.optimizer, {place: slots[index] for place, index in enumerate(part.indices) if index in slots})
        self.lay_out_moments()


class TensorByTensor(OneByOne):
    """All gradients in the weights' own format first, shortened by their norm; float32 only for the moment of each step."""

    def backward(self, loss):
        Together.backward(self, loss)

    @torch.no_grad()
    def step(self):
        self.world.average([trained.weight for trained in self.trained_weights])
        grads = [trained.weight.grad for trained in self.trained_weights if trained.weight.grad is not None]
        norm = total_norm(grads).item() / self.scale.scale if grads else 0.0
        self.finite = self.finite and math.isfinite(norm)
        factor = min(1.0, self.limit / (norm + 1e-6)) / self.scale.scale if self.finite else 0.0
        for part in self.parts:
            if self.finite:
                self.move_part(part, factor)
            for index in part.indices:
                self.trained_weights[index].drop_gradient()
        return Outcome(norm, self.finite, self.scale.update(self.finite))

    def move_part(self, part, factor):
        for index in part.indices:
            self.trained_weights[index].prepare_gradient(factor)
        part.optimizer.step()
        for index in part.indices:
            trained = self.trained_weights[index]
            if trained.value.grad is not None:
                trained.update_model(*self.rounding_seed(index))

    def gradients(self):
        largest = OneByOne.gradients(self)
        return sum(trained.weight.nbytes for trained in self.trained_weights) + largest


def total_norm(gradients):
    """The Euclidean norm of all gradients, a float32 tensor of no dimensions."""
    norms = torch._foreach_norm([gradient.float() if gradient.ndim == 0 else gradient for gradient in gradients])
    return torch.linalg.vector_norm(torch.stack([norm.float() for norm in norms]))


class Part(NamedTuple):
    """An optimiser of its own, the numbers of its weights in its order, and those of their groups."""

    optimizer: object
    indices: list
    places: list
