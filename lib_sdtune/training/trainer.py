"""The one trainer: an iterator over optimizer steps, with three verbs (`sample`, `save`, `export`) beside it."""

import gc
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from lib_sdtune.config import Config
from lib_sdtune.devices import HALVES, compute_dtype, empty_cache
from lib_sdtune.errors import DiskFull
from lib_sdtune.host.base import Host
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.lora_tools import base_loras
from lib_sdtune.methods import registry as methods
from lib_sdtune.methods.base import Artefact
from lib_sdtune.training import (
    cuda_graphs,
    diffusion_classifier,
    duration,
    optimizer_steps,
    precision,
    teacher,
    timestep_sampling,
)
from lib_sdtune.training.accumulation import Accumulation
from lib_sdtune.training.attachment import Attachment
from lib_sdtune.training.conditioner import Conditioner
from lib_sdtune.training.control import Control
from lib_sdtune.training.learning_curve import LearningCurve
from lib_sdtune.training.memory.estimate import recomputes
from lib_sdtune.training.memory.frames import free_frames
from lib_sdtune.training.memory.heap import steady_heap
from lib_sdtune.training.micro_batches import MicroBatches
from lib_sdtune.training.objective import Objective
from lib_sdtune.training.optimizer_steps.outcome import Outcome
from lib_sdtune.training.overflow import Diagnosis
from lib_sdtune.training.parallel import World
from lib_sdtune.training.per_image_loss import PerImageLoss
from lib_sdtune.training.recipe import recipe
from lib_sdtune.training.refusals import refuse_unsuited_model, refuse_what_cannot_fit
from lib_sdtune.training.results import Results
from lib_sdtune.training.resume_point import ResumePoint
from lib_sdtune.training.sample_requests import cost_in_steps, sample_facts
from lib_sdtune.training.sample_times import SampleTimes, due
from lib_sdtune.training.saver import Saver
from lib_sdtune.training.skipped_steps import SkippedSteps
from lib_sdtune.training.step_result import Step, StepResult
from lib_sdtune.training.training_data import TrainingData

log = logging.getLogger("sdtune")


class Trainer:
    """`with Trainer(config, model, control) as trainer: for step in trainer: ...`

    Making one refuses what cannot fit into memory or on the disk, before anything is drawn or encoded.
    On entering, the pictures are scanned and encoded, the state of an earlier try is taken over if there is one, and
    the add-on is attached; on leaving, the model is bare again.
    """

    def __init__(self, config: Config, model: LoadedModel, control: Control,
                 training_data: Callable[..., TrainingData] = TrainingData) -> None:
        self.config, self.model, self.control, self.folder = config, model, control, control.folder
        self.world = World()
        model.variant = model.variant.overridden(zero_terminal_snr=config.noise.zero_terminal_snr)
        refuse_unsuited_model(config, model, methods[config.method])
        self.method = methods[config.method](config, model)
        self.dtype = compute_dtype(config.train.mixed_precision, model.device, self.method.dtype)
        self.optimizer_step = optimizer_steps.choose(config, self.method, precision.LossScale(self.dtype), self.world)
        if model.device.type == "cuda" and self.dtype in HALVES:
            self.optimizer_step.use_halves(self.method.half_copies(self.dtype))
        self.training_data = training_data(config, model, self.folder, control.preparing, self.world, control.scan,
                                           control.pause_until)
        self.results = Results(config, model, self.method, self.training_data, self.folder)
        self.base_loras = base_loras.BaseLoras(config.model.base_loras, model)
        recomputing = recomputes(config, model.spec())
        networks = [*self.method.networks(), *self.base_loras.networks()]
        graphs = cuda_graphs.choose(config, model, self.method, self.optimizer_step, self.dtype, recomputing, networks)
        self.attachment = Attachment(self.method, model, recomputing, self.dtype, self.training_data.offloaded_parts,
                                     self.base_loras, graphs)
        self.method.make_room = self.make_room
        self.step, self.total, self.loss = 0, 0, math.nan
        self.unread: StepResult | None = None
        refuse_what_cannot_fit(config, self.folder, self.results, self.optimizer_step, model.device)

    def has_room(self) -> bool:
        """Whether the disk takes what is refused otherwise, as far as it is known before the first step."""
        return self.results.has_room(self.total - self.step, self.optimizer_step.bytes())

    def __enter__(self) -> "Trainer":
        with ExitStack() as stack:
            stack.enter_context(self.base_loras)
            stack.enter_context(self.training_data)
            if self.control.is_paused_by_fault() and self.world.size == 1:
                raise DiskFull(self.control.fault[0])  # nothing is learned yet: all of this is done again then
            self.total = self.training_data.total_steps()
            conditioner = Conditioner(self.config, self.model, self.method, self.training_data.text_cache)
            self.objective = Objective(self.config.loss, self.model, self.dtype, conditioner)
            with precision.untouched(self.model, self.dtype):
                diffusion_classifier.describe(self.config, self.training_data, self.objective.losses, self.folder,
                                              self.control.preparing)
            self.control.facts["recipe"] = recipe(self.config, self.training_data.dataset)
            log.info("%s", self.control.facts["recipe"])
            diagnosis = Diagnosis(self.config, self.model, self.method, self.objective, self.optimizer_step,
                                  self.attachment, self.training_data)
            self.skipped_steps = SkippedSteps(diagnosis.reason)
            self.per_image_loss = PerImageLoss(self.training_data.scan.pictures, self.folder)
            self.timestep_sampling = timestep_sampling.choose(self.config.noise)
            self.resume_point = ResumePoint(self.folder, self.model, self.training_data, self.method,
                                            self.optimizer_step, self.skipped_steps, self.per_image_loss,
                                            self.timestep_sampling,
                                            base_loras.digest(self.config.model.base_loras, self.model.folder))
            self.saver = Saver(self.resume_point, self.results, self.optimizer_step, self.control)
            self.step = self.resume_point.load()
            self.results.refuse_too_little_room(self.total - self.step, self.optimizer_step.bytes())
            self.curve = LearningCurve(self.config, self.training_data, self.objective, self.control, self.total,
                                       self.step, self.world)
            stack.callback(self.curve.log.close)
            self.shorten()
            self.curve.report_overfitting()
            stack.enter_context(steady_heap(self.model.device))
            self.teacher = teacher.choose(self.config, self.method.cheap_to_detach, self.training_data, self.folder,
                                          self.model.device, self.objective.predict, self.attachment.without_addon)
            micro_batches = MicroBatches(self.training_data, self.teacher, self.world,
                                         self.config.train.gradient_accumulation_steps)
            self.accumulate = Accumulation(self.config, self.model, micro_batches, self.objective, self.optimizer_step,
                                           self.timestep_sampling)
            with precision.untouched(self.model, self.dtype):
                self.teacher.prepare(self.total * micro_batches.repeats, self.world, self.control.preparing)
            self.training_data.choose_offloaded_parts(self.method.changes_text())
            stack.enter_context(self.method.prepared(self.folder / "aside" / str(self.world.rank)))
            stack.enter_context(self.attachment)
            requests = self.results.requests()
            cost = cost_in_steps(self.config, requests)
            self.times = self.control.sample_times = SampleTimes(self.config.sample, self.total, cost, self.step)
            self.control.facts |= sample_facts(requests)
            self.control.begin(self.step, self.total, self.training_data.epoch(self.total)[0], self.due_after)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            if error is None:
                self.read_all()
                self.curve.report_overfitting(ended=True)
        finally:
            free_frames(error)
            with self.stack:  # the model goes back whatever becomes of the optimizer
                self.optimizer_step.release()

    def make_room(self) -> None:
        """Where the device is full while the model goes back: what the optimizer remembers waits elsewhere."""
        gc.collect()
        self.optimizer_step.offload()
        empty_cache(self.model.device)

    def due_after(self, step: int) -> dict[str, int]:
        """What is still to do after a step besides steps: see `duration.due_after`."""
        return duration.due_after(self.config, step, self.total, self.training_data.steps_per_epoch,
                                  bool(self.curve.validation.sets), self.times.rounds())

    # the loop

    def __iter__(self) -> Iterator[Step]:
        if self.step and self.world.is_main_process and self.results.missing(step := self.resumed_step(), self.times):
            yield step  # killed between the state of this step and what was due at it
        while self.step < self.total:
            yield self.advance()
        self.skipped_steps.refuse_if_nothing_learned(self.total)

    def advance(self) -> Step:
        """One optimizer step. What it was like is known at once, or, on a GPU that nobody waits for, a step later."""
        started = time.perf_counter()
        self.optimizer_step.begin(self.step, self.total)
        micro_batches = self.accumulate(self.step)
        learned = any(micro_batch.learned for micro_batch in micro_batches)
        outcome = self.descend() if learned or self.world.size > 1 else Outcome(0.0, True)
        self.step += 1
        result = StepResult(self.step, self.optimizer_step.rates[0], micro_batches, outcome,
                            self.accumulate.rows_of_all(micro_batches))
        earlier, self.unread = self.unread, result
        self.read(earlier)
        at_once = self.optimizer_step.reads_at_once or self.is_read_at_once()
        if at_once:
            result.host_copy.wait()
        result.seconds = time.perf_counter() - started
        if at_once:
            self.read_all()
        return self.describe_step(self.step, self.loss, result.lr, result.seconds)

    def is_read_at_once(self) -> bool:
        """Whether something is due after this step that wants its numbers."""
        step = self.describe_step(self.step, 0.0, 0.0, 0.0)
        return (step.last or self.saver.is_due(step.number) or self.curve.is_measured(step)
                or due(self.config.save, step) or self.times.is_planned(step))

    def read_all(self) -> None:
        """Wait for the last step's numbers, and write what they are."""
        unread, self.unread = self.unread, None
        self.read(unread)

    def read(self, result: StepResult | None) -> None:
        """Take note of a step: its losses, whether it was skipped, and its row in the log."""
        if result is None:
            return
        self.loss, norm, finite, excused = result.note(self.per_image_loss, self.timestep_sampling)
        self.skipped_steps.note(result, finite, excused)
        step = self.describe_step(result.number, self.loss, result.lr, result.seconds)
        if self.world.is_main_process:
            self.record(step, norm)
        if self.curve.is_measured(step):
            self.shorten()

    def describe_step(self, number: int, loss: float, lr: float, seconds: float) -> Step:
        epoch, ends = self.training_data.epoch(number)
        return Step(number, epoch, ends, number == self.total, loss, lr, seconds, self.skipped_steps.skipped)

    def beginning(self) -> Step:
        """Before the first step."""
        return self.describe_step(0, math.nan, 0.0, 0.0)

    def resumed_step(self) -> Step:
        """The step that the state is of, as the log tells it."""
        last = self.curve.log.last
        return self.describe_step(self.step, *(last.get(key) or 0.0 for key in ("loss", "lr", "seconds")))

    def descend(self) -> Outcome:
        """Apply the gradients, unless they are not finite."""
        outcome = self.optimizer_step.step()
        if not outcome.is_known_to_be_skipped:
            self.method.constrain()
        return outcome

    def record(self, step: Step, norm: float) -> None:
        if self.curve.add(step, norm, self.measure(step)):
            with self.optimizer_step.showing_result():
                self.saver.fits(lambda: self.curve.length.keep(self.method, self.curve.log.rows))
        self.per_image_loss.write(step.number, at_once=step.last)
        if self.saver.is_due(step.number) and not self.skipped_steps.in_a_row:
            self.save_state()

    def measure(self, step: Step) -> dict[str, float]:
        """The columns of validation, {} where it is not due."""
        if not self.curve.is_measured(step):
            return {}
        with self.control.spending("validation"), self.optimizer_step.showing_result(), self.method.measuring():
            return self.curve.validation.measure_if_due(step)

    def shorten(self) -> None:
        """Where the run ends by itself, it ends when the measurements in the log say so."""
        self.total = self.control.total_steps = self.curve.total()

    def save_state(self) -> None:
        """The resume point; see `Saver.save_state`."""
        self.read_all()
        if self.world.is_main_process:
            self.saver.save_state(self.step)
            self.per_image_loss.write(self.step, at_once=True)

    # the three verbs

    def sample(self, host: Host) -> list[Path]:
        """Pictures of the unsaved result, made by the host's own sampler; their files, none if there was no room."""
        if not self.world.is_main_process:
            return []
        if self.saver.is_due_before_drawing(self.step) and not self.skipped_steps.in_a_row:
            self.save_state()
        with (self.optimizer_step.showing_result(), self.attachment.in_lent_precision(), self.method.sampling(),
              self.control.spending("samples")):
            return self.saver.fits(lambda: self.results.sample(host, self.step), "sample") or []

    def save(self, folder: Path) -> list[Path]:
        """Intermediate files beside the final one, and the state; the files' paths, none if there was no room."""
        self.save_state()
        epoch, ends = self.training_data.epoch(self.step)
        ended = epoch if ends else None
        with self.control.spending("saving"), self.optimizer_step.showing_result():
            return self.saver.fits(lambda: self.results.save(folder, self.step, ended), "save", folder) or []

    def export(self, host: Host) -> Artefact | None:
        """The final file with its card and preview; None when the run is to leave nothing behind, or is paused
        because the disk is full. DiskFull when it is to leave before there is room.
        """
        if not self.world.is_main_process or self.control.requested("stop_without_saving"):
            return None
        self.save_state()
        if self.control.requested("interrupt"):
            return None
        with self.optimizer_step.showing_result():
            step, stopping = self.step, self.control.stop_requested()
            if step == self.total or not stopping:
                step = self.curve.go_back(self.method, step)
            write = partial(self.results.export, host, step, self.control.report_final)
            return write() if stopping else self.saver.fits(write, folder=host.folder(self.method.kind))
