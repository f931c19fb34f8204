"""A running mean of what learns (Polyak & Juditsky 1992), kept in the computer's memory, not the GPU's."""

from collections.abc import Iterator, Mapping

import torch

# steps from one update to the next where weights come from a GPU: fetching a whole model takes longer than a step
EVERY = 10


class EMA:
    """`values`: name -> float32 CPU tensor. `decay` is per step; early on it is lower, so that the start is soon
    forgotten.
    """

    def __init__(self, decay: float, every: int = EVERY) -> None:
        self.decay, self.every, self.count = decay, every, 0
        self.values: dict[str, torch.Tensor] = {}

    @property
    def started(self) -> bool:
        return bool(self.values)

    @torch.no_grad()
    def start(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.values = {name: tensor.detach().to("cpu", torch.float32, copy=True) for name, tensor in tensors.items()}

    @torch.no_grad()
    def update(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Call it after every step with name -> tensor."""
        self.count += 1
        if self.count % self.every:
            return
        decay = self.decay_of(self.every)
        for name, mean in self.values.items():
            mean.lerp_(tensors[name].to("cpu", torch.float32), 1 - decay)

    def decay_of(self, steps: int) -> float:
        """What remains of the mean after so many steps, the last of which is the present one."""
        update = max(1, self.count // self.every)
        return min(self.decay**steps, ((1 + update) / (10 + update)) ** (steps / self.every))

    def current(self, tensors: Mapping[str, torch.Tensor]) -> "Current":
        """name -> the mean with the steps since its last update in it, each made when it is asked for; nothing changes
        here.
        """
        return Current(self, tensors)

    def state(self) -> dict[str, torch.Tensor]:
        return {f"average.{name}": mean for name, mean in self.values.items()} | {
            "average_count": torch.tensor(self.count)
        }

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take over what `state` gave, out of name -> tensor."""
        self.values = {
            name.removeprefix("average."): tensor.clone()
            for name, tensor in tensors.items()
            if name.startswith("average.")
        }
        self.count = int(tensors["average_count"])


class Current(Mapping):
    """A running mean as it is at this step."""

    def __init__(self, average: EMA, tensors: Mapping[str, torch.Tensor]) -> None:
        self.average, self.tensors = average, tensors

    @torch.no_grad()
    def __getitem__(self, name: str) -> torch.Tensor:
        mean, steps = self.average.values[name], self.average.count % self.average.every
        if not steps:
            return mean
        return torch.lerp(mean, self.tensors[name].to("cpu", torch.float32), 1 - self.average.decay_of(steps))

    def __iter__(self) -> Iterator[str]:
        return iter(self.average.values)

    def __len__(self) -> int:
        return len(self.average.values)
