"""Prior preservation without pictures: the untouched model is the teacher of what the class is.

Next to every subject's example goes the same picture's noise under the class prompt; there the trained model shall
answer what the untouched one answers (learning without forgetting, Li & Hoiem 2016, arXiv 1606.09282). An add-on is
taken off for the question. Where the model itself learns, a number of answers is asked for before the first step and
kept.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lib_sdtune import randomness
from lib_sdtune.config import Config
from lib_sdtune.data.example import Example
from lib_sdtune.devices import upload
from lib_sdtune.families.base import Conditioning
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.progress import Progress
from lib_sdtune.training import prior
from lib_sdtune.training.batch import Batch, draw
from lib_sdtune.training.parallel import World
from lib_sdtune.training.training_data import TrainingData

MAX_QUESTIONS = 256  # that are stored; then they come round again
TWIN = 1 << 40  # added to an example's number, so that its twin has noise of its own
log = logging.getLogger("sdtune")

Predict = Callable[[Batch, Conditioning], torch.Tensor]


class NoTeacher:
    """No prior preservation by a teacher."""

    def prepare(self, steps: int, world: World, progress: Progress) -> None:
        """Nothing to do."""

    def twins(self, micro_step: int, examples: list[Example]) -> list[Example]:
        """The examples that the model is taught at this micro-batch, beside its own."""
        return []

    def batches(self, micro_step: int, examples: list[Example]) -> list[Batch]:
        """No batches."""
        return []


def choose(config: Config, live: bool, training_data: TrainingData, run_folder: Path, device: torch.device,
           predict: Predict, without_addon: Callable[[], AbstractContextManager]) -> NoTeacher:
    """The teacher that the settings and the pictures ask for; live: whether the add-on is cheap to take off."""
    prompts = prior.taught_prompts(config, training_data.scan.pictures)
    if not any(prompts):
        return NoTeacher()
    log.info("%s", prior.sentence(config, training_data.scan.pictures))
    needs = config, prompts, training_data, device, predict, without_addon
    return LiveTeacher(*needs) if live else StoredTeacher(run_folder / "teacher.safetensors", *needs)


class LiveTeacher(NoTeacher):
    """Answers at every step, with the add-on taken off for a moment.

    prompts: of each concept what is asked, "" for nothing. predict: the UNet's answer (B, 4, h, w) to a batch.
    without_addon: a context manager, inside which the model is bare.
    """

    def __init__(self, config: Config, prompts: list[str], training_data: TrainingData, device: torch.device,
                 predict: Predict, without_addon: Callable[[], AbstractContextManager]) -> None:
        self.config, self.prompts, self.training_data, self.device = config, prompts, training_data, device
        self.predict, self.without_addon = predict, without_addon

    @property
    def every(self) -> int:
        """One example in how many is asked about; it counts as many times."""
        return self.config.loss.teacher_every_n_examples

    def prepare(self, steps: int, world: World, progress: Progress) -> None:
        """Call it while the model is untouched: what the text encoder makes of the class prompts is kept.

        steps: how many micro-batches the run has, in all processes together.
        """
        empty = [""] if self.config.loss.teacher_caption_dropout_rate else []
        self.training_data.text_cache.prepare(empty + list(filter(None, self.prompts)))

    def batches(self, micro_step: int, examples: list[Example]) -> list[Batch]:
        """At most one `Batch`, with the teacher's answers, on the model's device."""
        batch = self.question(micro_step, examples)
        if batch is None:
            return []
        with self.without_addon():
            return [replace(batch, answers=self.answer(batch))]

    def question(self, micro_step: int, examples: list[Example]) -> Batch | None:
        """The twins of the subject's examples; None where there are none."""
        twins = self.training_data.readable(self.twins_of(examples))
        if not twins:
            return None
        batch = draw(twins, micro_step, self.training_data.cache, self.config)
        return replace(batch, masks=None).to(self.device)

    def twins(self, micro_step: int, examples: list[Example]) -> list[Example]:
        return self.twins_of(examples)

    def twins_of(self, examples: list[Example]) -> list[Example]:
        """The subject's examples under their class prompts, as far as it is their turn to be asked about."""
        return [self.twin(example) for example in examples
                if not example.picture.is_class and self.prompt(example) and self.is_asked(example)]

    def is_asked(self, example: Example) -> bool:
        return prior.is_asked(example.index, example.occurrence, self.every)

    def twin(self, example: Example) -> Example:
        """The same picture under its class prompt, or none, with noise of its own."""
        dropped = self.is_dropped(example)
        return replace(example, caption="" if dropped else self.prompt(example), unconditional=dropped,
                       weight=self.every * self.config.loss.prior_loss_weight, index=example.index + TWIN)

    def is_dropped(self, example: Example) -> bool:
        """Guidance leads away from the answer to an empty prompt; where that has become the subject, pictures of the
        class turn away from whatever looks like it.
        """
        rate, seed = self.config.loss.teacher_caption_dropout_rate, self.config.train.seed
        return rate > 0 and randomness.rng(seed, "teacher", example.index, example.occurrence).random() < rate

    def prompt(self, example: Example) -> str:
        return self.prompts[example.picture.concept]

    @torch.no_grad()
    def answer(self, batch: Batch) -> torch.Tensor:
        """(B, 4, h, w) float32: what the untouched model predicts."""
        conditioning = self.training_data.text_cache.conditioning(batch.captions).on(self.device)
        return self.predict(batch, conditioning).float()


class StoredTeacher(LiveTeacher):
    """Answers of the untouched model to the questions of the first steps, stored at `path` in the run folder."""

    def __init__(self, path: Path, *args: Any) -> None:
        super().__init__(*args)
        self.path = path

    def prepare(self, steps: int, world: World, progress: Progress) -> None:
        super().prepare(steps, world, progress)
        if world.is_main_process and not self.path.exists():
            self.store_answers(min(steps, MAX_QUESTIONS), progress)
        world.barrier()
        self.answers, facts = safetensors.read(self.path)
        self.questions = int(facts["turns"])

    def store_answers(self, count: int, progress: Progress) -> None:
        """Ask the model the first `count` questions."""
        answers = {}
        for number in range(count):
            batch = self.question(number, self.training_data.examples(number))
            if batch is not None:
                answers[str(number)] = self.answer(batch).cpu()
            progress(number + 1, count, "asking the model about the class")
        safetensors.write(self.path, answers, {"turns": str(count)})

    def twins(self, micro_step: int, examples: list[Example]) -> list[Example]:
        number = micro_step % self.questions
        return self.twins_of(self.training_data.examples(number)) if str(number) in self.answers else []

    def batches(self, micro_step: int, examples: list[Example]) -> list[Batch]:
        number = micro_step % self.questions
        if str(number) not in self.answers:
            return []
        batch = self.question(number, self.training_data.examples(number))
        answers = self.answers[str(number)]
        if batch is None or len(batch.latents) != len(answers):  # a picture went since
            return []
        return [replace(batch, answers=upload(answers, self.device))]
