"""Two real steps with the settings of a run, to know what they need instead of guessing; nothing of them stays.

The model is borrowed as for a training and goes back bit for bit. The batch is the one that needs the most memory, so
that what fits here fits all the way. Where it does not fit, cheaper settings are tried in the order of
`training.memory.cheaper_settings`.
"""

import copy
import gc
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lib_sdtune.config import Config
from lib_sdtune.data.example import Example
from lib_sdtune.data.loader import Unit
from lib_sdtune.devices import index_of
from lib_sdtune.errors import TooLittleMemory, UserError
from lib_sdtune.failures import out_of_memory
from lib_sdtune.host.base import Host
from lib_sdtune.loaded_model import ModelSpec
from lib_sdtune.methods import registry as methods
from lib_sdtune.progress import Progress
from lib_sdtune.sections.sample import SampleConfig
from lib_sdtune.sections.validation import ValidationConfig
from lib_sdtune.sentences import phrase
from lib_sdtune.training import prior
from lib_sdtune.training.control import Control
from lib_sdtune.training.cuda_graphs import EAGER
from lib_sdtune.training.memory.cheaper_settings import cheaper_configs
from lib_sdtune.training.memory.estimate import estimate
from lib_sdtune.training.memory.meter import Meter, capacity
from lib_sdtune.training.memory.offloaded_parts import idle
from lib_sdtune.training.parallel import World
from lib_sdtune.training.trainer import Trainer
from lib_sdtune.training.training_data import TrainingData

STEPS = 2  # the first one makes the optimizer's memory, the second one shows the pace and what a step takes
WITH_GRAPHS = EAGER + 2  # one more that is recorded, and the first one that is replayed


@dataclass
class MemoryNeed:
    """What a step needs and what there is, in bytes (None: unknown); `seconds` a step, if it was measured.

    changes: {path: value} of cheaper settings that these figures are for; {} for the settings as they are.
    refused: why the settings as they are do not fit, in a sentence, where that is known without trying.
    """

    device: str
    needs: int | None
    has: int | None
    seconds: float | None = None
    changes: dict = field(default_factory=dict)
    refused: str = ""

    @property
    def fits(self) -> bool:
        return self.needs is None or self.has is None or self.needs <= self.has

    @property
    def measured(self) -> bool:
        return self.seconds is not None

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "measured": self.measured,
            "fits": self.fits,
            "needs": self.needs,
            "has": self.has,
            "seconds": self.seconds,
            "device": self.device,
            "changes": self.changes,
            "refused": self.refused,
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        device, needs, has = self.device, gigabytes(self.needs), gigabytes(self.has)
        if self.seconds is None:
            if self.has is None:
                return f"Estimated: a step needs about {needs} GB; how much {device} has for it cannot be told."
            if self.fits:
                return f"Estimated: a step needs about {needs} of the {has} GB of {device}, so it should fit."
            return f"Estimated: a step needs about {needs} GB and {device} has {has} GB for it, so it would not fit."
        seconds = f"{self.seconds:.2g}"
        if self.needs is None:
            return (f"Measured: a step fits and takes {seconds} s; how much memory it needs cannot be told on this "
                    "machine.")
        if self.changes:
            return (f"Measured: this does not fit {device}. With the changes below it does: a step needs {needs} of "
                    f"{has} GB and takes {seconds} s.")
        return f"Measured: a step needs {needs} of the {has} GB of {device}, so it fits, and takes {seconds} s."


NOTHING_FITS = "Measured: nothing fits {device}, not even the cheapest settings; use smaller pictures, or train a LoRA."


def gigabytes(size: int | None) -> str:
    return "?" if size is None else f"{size / 2**30:.1f}"


def estimated_need(config: Config, host: Host) -> MemoryNeed | None:
    """The `MemoryNeed` by arithmetic, without touching the model; None where the host cannot say what it has."""
    spec = host.model_spec(config.model)
    if spec is None:
        return None
    with suppress(UserError):  # a file that Start refuses by its name
        config = methods[config.method].as_files_say(config, host.folder)
    return MemoryNeed(name_of(spec.device), estimate(config, spec), capacity(spec.device))


def measure(config: Config, host: Host, progress: Progress) -> MemoryNeed:
    """The `MemoryNeed` of the settings, or of the first cheaper ones that fit. TooLittleMemory when none do.

    progress(done, total, text) is called now and then and may raise to stop.
    """
    refuse_several(World())
    spec = host.model_spec(config.model)
    device = spec.device if spec else torch.device("cuda" if torch.cuda.is_available() else "cpu")
    refused = ""
    for number, (changes, settings) in enumerate([({}, config), *cheaper_configs(config, device, spec)]):
        progress(number, 0, "measuring two steps")
        try:
            need = attempt(settings, host, changes, spec, progress)
        except TooLittleMemory as error:
            refused = refused or str(error)
            continue
        need.refused = refused
        if need.fits:
            return need
        refused = refused or f"It took {gigabytes(need.needs)} GB of {gigabytes(need.has)} GB."
    raise TooLittleMemory(NOTHING_FITS.format(device=name_of(device)))


def attempt(config: Config, host: Host, changes: dict[str, Any], spec: ModelSpec | None, progress: Progress
            ) -> MemoryNeed:
    """The `MemoryNeed` of these settings, measured. TooLittleMemory when two steps do not fit."""
    if spec is not None and device_kills(spec.device):
        refuse_by_arithmetic(methods[config.method].as_files_say(config, host.folder), spec)
    tidy(host)
    try:
        return two_steps(config, host, changes, progress)
    except Exception as error:
        if not out_of_memory(error):
            raise
        reason = str(error).split("\n")[0]
    finally:
        tidy(host)
    # here nothing holds the attempt's tensors any more
    raise TooLittleMemory(f"The device ran out of memory: {reason}")


def device_kills(device: torch.device) -> bool:
    """Without a GPU a program that takes too much is ended, so nothing may be tried that is known not to fit."""
    return device.type == "cpu"


def refuse_by_arithmetic(config: Config, spec: ModelSpec) -> None:
    needs, has = estimate(config, spec), capacity(spec.device)
    if has is not None and needs > has:
        raise TooLittleMemory(f"A step would need about {gigabytes(needs)} GB and {gigabytes(has)} are there.")


def two_steps(config: Config, host: Host, changes: dict[str, Any], progress: Progress) -> MemoryNeed:
    config = steps_only(config)
    with scratch(host) as folder, host.borrow(config.model, idle(config, methods[config.method])) as model:
        meter, has, pace = Meter(model.device), capacity(model.device), []
        control = Control(config, folder, on_change=lambda control: progress(0, 0, "measuring two steps"))
        with Trainer(config, model, control, HeaviestBatch) as trainer:
            for _ in range(steps_of(config)):
                meter.begin()  # in the first step cuDNN tries plans that take nearly all that is free
                pace.append(trainer.advance().seconds)
        return MemoryNeed(name_of(model.device), meter.peak(), has, pace[-1], changes)


def steps_only(config: Config) -> Config:
    """The settings without what happens between the steps."""
    config = copy.deepcopy(config)
    config.train.max_train_steps, config.train.max_train_epochs, config.train.stop = steps_of(config), 0, "steps"
    config.dataset.describe = []
    config.save.state_every_n_steps = config.save.every_n_steps = config.save.every_n_epochs = 0
    config.validation, config.sample = ValidationConfig(), SampleConfig(every_n_steps=0)
    return config


def steps_of(config: Config) -> int:
    """How many steps show what a later one is like."""
    return WITH_GRAPHS if config.train.cuda_graphs else STEPS


@contextmanager
def scratch(host: Host) -> Iterator[Path]:
    """A run folder, with a cache of its own, that is gone afterwards; also what an attempt that was killed has left."""
    home = host.folder("sdtune") / "measuring"
    shutil.rmtree(home, ignore_errors=True)
    folder = home / "runs" / "measuring"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(home, ignore_errors=True)
        with suppress(OSError):
            home.parent.rmdir()  # only where it was made for this


class HeaviestBatch(TrainingData):
    """The batch that needs the most memory, at every step; no other picture is encoded. Where a teacher is asked about
    some of the examples, it is about all of these, as will happen in a run by chance.
    """

    def examples(self, micro_step: int) -> list[Example]:
        return self.batch

    def needed(self) -> list[Example]:
        units = max(self.dataset.plan(0), key=lambda units: (len(units) + self.twins(units)) * self.area(units[0][0]))
        every = self.config.loss.teacher_every_n_examples
        self.batch = [self.dataset.example(index, prior.next_asked(index, occurrence, every))
                      for index, occurrence in units]
        return self.batch

    def twins(self, units: list[Unit]) -> int:
        """How many examples a teacher may add."""
        prompts = prior.taught_prompts(self.config, self.scan.pictures)
        pictures = [self.scan.pictures[index] for index, _ in units]
        return sum(bool(prompts[picture.concept]) and not picture.is_class for picture in pictures)

    def area(self, index: int) -> int:
        width, height = self.dataset.fits[index].size
        return width * height


def tidy(host: Host) -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    host.free_memory()


def name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(index_of(device)) if device.type == "cuda" else phrase("this computer")


def refuse_several(world: World) -> None:
    if world.size > 1:
        raise UserError("Measuring is done by one process; call it without torchrun.")
