"""Which examples a step takes: its micro-batches in this process, and how much each counts."""

from lib_sdtune.data.example import Example
from lib_sdtune.training.parallel import World
from lib_sdtune.training.teacher import NoTeacher
from lib_sdtune.training.training_data import TrainingData


class MicroBatches:
    """`micro_batches(step)`: [(number, examples, the part of the step's loss that they are)], steps counted from 0.

    Every example counts the same, as in a single large batch: a micro-batch that an epoch's end leaves small counts
    less. For a picture that went during the run count those beside it.
    """

    def __init__(self, training_data: TrainingData, teacher: NoTeacher, world: World, accumulation: int) -> None:
        self.training_data, self.teacher, self.world = training_data, teacher, world
        self.repeats = accumulation * world.size

    def __call__(self, step: int) -> list[tuple[int, list[Example], float]]:
        numbers = range(step * self.repeats, (step + 1) * self.repeats)
        counts = {number: self.count(number) for number in numbers}
        total = sum(counts.values()) / self.world.size
        return [
            (number, examples, total / counts[number])
            for number in numbers[self.world.rank :: self.world.size]
            if (examples := self.training_data.readable(self.training_data.examples(number)))
        ]

    def count(self, number: int) -> int:
        """How many losses a micro-batch has, its teacher's among them."""
        examples = self.training_data.examples(number)
        return len(examples) + len(self.teacher.twins(number, examples))
