"""The one trainer: an iterator over optimiser steps, with three verbs (`sample`, `save`, `export`) for the loop around
it.
"""

import gc
import logging
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from lib_sdtune import diffusion
from lib_sdtune.config import Config
from lib_sdtune.data.loader import Example
from lib_sdtune.devices import HALVES, compute_dtype
from lib_sdtune.errors import DiskFull, UserError
from lib_sdtune.families.base import Conditioning
from lib_sdtune.host.base import Host, LoadedModel
from lib_sdtune.lora_tools import base_loras
from lib_sdtune.lora_tools.base_loras import BaseLoras
from lib_sdtune.methods import registry as methods
from lib_sdtune.methods.base import Artefact
from lib_sdtune.randomness import seed_layers
from lib_sdtune.training import (
    cuda_graphs,
    describing,
    duration,
    optimisation,
    overflow,
    precision,
    replaced,
    state,
    teacher,
    timestep_sampling,
)
from lib_sdtune.training.attachment import Attachment
from lib_sdtune.training.automatic_length import AutomaticLength, measured_every
from lib_sdtune.training.batch import Batch, draw, joined
from lib_sdtune.training.control import Control
from lib_sdtune.training.disk_space import held_where_full
from lib_sdtune.training.encoding import Conditioner
from lib_sdtune.training.log import Log
from lib_sdtune.training.losses import weighted_losses
from lib_sdtune.training.memory.estimate import recomputes
from lib_sdtune.training.memory.frames import free_frames
from lib_sdtune.training.memory.heap import steady_heap
from lib_sdtune.training.micro_batches import MicroBatches
from lib_sdtune.training.optimisation.outcome import Outcome
from lib_sdtune.training.overfitting import assess
from lib_sdtune.training.parallel import World
from lib_sdtune.training.per_image_loss import PerImageLoss
from lib_sdtune.training.recipe import recipe
from lib_sdtune.training.refusals import refuse_unsuited_model, refuse_what_cannot_fit
from lib_sdtune.training.results import Results
from lib_sdtune.training.resume_point import ResumePoint
from lib_sdtune.training.sample_requests import cost_in_steps
from lib_sdtune.training.sample_times import SampleTimes, due
from lib_sdtune.training.skipped_steps import SkippedSteps
from lib_sdtune.training.step_result import MicroBatch, Step, StepResult
from lib_sdtune.training.training_data import TrainingData
from lib_sdtune.training.validation import Validation

T = TypeVar("T")
log = logging.getLogger("sdtune")


class Trainer:
    """`with Trainer(config, model, control) as trainer: for step in trainer: ...`

    Making one refuses what cannot fit into memory or on the disk, before anything is drawn or encoded.
    On entering, the pictures are scanned and encoded, the state of an earlier try is taken over if there is one, and
    the add-on is attached; on leaving, the model is bare again.
    """

    def __init__(self, config: Config, model: LoadedModel, control: Control, training_data=TrainingData):
        self.config, self.model, self.control, self.folder = config, model, control, control.folder
        self.world = World()
        model.variant = model.variant.overridden(zero_terminal_snr=config.noise.zero_terminal_snr)
        refuse_unsuited_model(config, model, methods[config.method])
        self.method = methods[config.method](config, model)
        self.dtype = compute_dtype(config.train.mixed_precision, model.device, self.method.dtype)
        self.optimisation = optimisation.choose(config, self.method, precision.LossScale(self.dtype), self.world)
        if model.device.type == "cuda" and self.dtype in HALVES:
            self.optimisation.use_halves(self.method.half_copies(self.dtype))
        self.training_data = training_data(config, model, self.folder, control.preparing, self.world, control.scan,
                                           control.hold)
        self.results = Results(config, model, self.method, self.training_data, self.folder)
        self.base_loras = BaseLoras(config.model.base_loras, model)
        recomputing = recomputes(config, model.spec())
        graphs = cuda_graphs.choose(config, model, self.method, self.optimisation, self.dtype, recomputing)
        self.attachment = Attachment(self.method, model, recomputing, self.dtype, self.training_data.idle_parts,
                                     self.base_loras, graphs)
        self.method.make_room = self.make_room
        self.step, self.total, self.unsaved = 0, 0, False
        self.skipped_steps = SkippedSteps(self.reason_of_overflow)
        self.loss = math.nan
        self.unread: StepResult | None = None
        refuse_what_cannot_fit(config, self.folder, self.results, self.optimisation, model.device)

    def has_room(self) -> bool:
        """Whether the disk takes what is refused otherwise, as far as it is known before the first step."""
        try:
            self.results.refuse_too_little_room(self.total - self.step, self.optimisation.bytes())
        except UserError:
            return False
        return True

    def __enter__(self):
        with ExitStack() as stack:
            stack.enter_context(self.base_loras)
            stack.enter_context(self.training_data)
            if self.control.is_held() and self.world.size == 1:
                raise DiskFull(self.control.hold_reason[0])  # nothing is learned yet: all of this is done again then
            self.schedule = self.model.schedule.to(self.model.device, torch.float32)
            self.total = self.training_data.total_steps()
            self.conditioner = Conditioner(self.config, self.model, self.method, self.training_data.text_cache)
            self.length = AutomaticLength(self.config.train, self.folder, self.total)
            describing.describe(self.config, self.training_data, self.losses, self.folder, self.control.preparing)
            self.report_recipe()
            self.validation = Validation(self.config, self.training_data, self.losses, self.model.device,
                                         measured_every(self.config, self.total))
            self.per_image_loss = PerImageLoss(self.training_data.scan.pictures, self.folder)
            self.timestep_sampling = timestep_sampling.choose(self.config.noise)
            self.resume_point = ResumePoint(self.folder, self.model, self.training_data.scan, self.method,
                                            self.optimisation, self.skipped_steps, self.per_image_loss,
                                            self.timestep_sampling,
                                            base_loras.digest(self.config.model.base_loras, self.model.folder))
            self.step = self.resume_point.load()
            self.results.refuse_too_little_room(self.total - self.step, self.optimisation.bytes())
            self.log = Log(self.folder, resume_from=self.step, writes=self.world.leads)
            stack.callback(self.log.close)
            self.shorten()
            self.report_overfitting()
            stack.enter_context(steady_heap(self.model.device))
            self.teacher = teacher.choose(self.config, self.method.cheap_to_detach, self.training_data, self.folder,
                                          self.model.device, self.predict, self.attachment.without_adapter)
            self.micro_batches = MicroBatches(self.training_data, self.teacher, self.world,
                                              self.config.train.gradient_accumulation_steps)
            self.teacher.prepare(self.total * self.micro_batches.repeats, self.world, self.control.preparing)
            if (self.attachment.recomputing or self.model.waiting) and self.dtype != torch.float32:
                self.training_data.choose_idle_parts(self.method.changes_text())
            stack.enter_context(self.method.prepared(self.folder / "aside" / str(self.world.rank)))
            stack.enter_context(self.attachment)
            requests = self.results.requests()
            cost = cost_in_steps(self.config, requests)
            self.times = self.control.sample_times = SampleTimes(self.config.sample, self.total, cost)
            self.control.facts["sample_prompts"] = [request.prompt for request in requests]
            self.control.begin(self.step, self.total, self.training_data.epoch(self.total)[0], self.due_after)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, kind, error, trace):
        try:
            if error is None:
                self.read_all()
                self.report_overfitting(ended=True)
        finally:
            free_frames(error)
            self.optimisation.release()
            self.stack.close()

    def make_room(self) -> None:
        """Where the device is full while the model goes back to its owner: what the optimiser remembers waits
        elsewhere.
        """
        gc.collect()
        self.optimisation.offload()
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()

    def due_after(self, step: int) -> dict[str, int]:
        """What is still to do after a step besides steps: see `duration.due_after`."""
        return duration.due_after(self.config, step, self.total, self.training_data.steps_per_epoch,
                                  bool(self.validation.sets), self.times.rounds())

    # the loop

    def __iter__(self):
        if self.step and self.world.leads and self.results.missing(step := self.resumed_step(), self.times):
            yield step  # killed between the state of this step and what was due at it
        while self.step < self.total:
            yield self.advance()
        self.skipped_steps.refuse_if_nothing_learned(self.total)

    def advance(self) -> Step:
        """One optimiser step. What it was like is known at once, or, where nobody waits for the device, after the
        following step.
        """
        started = time.perf_counter()
        self.optimisation.begin(self.step, self.total)
        self.timestep_sampling.begin(self.step)
        micro_batches = [self.accumulate(*micro_batch) for micro_batch in self.micro_batches(self.step)]
        learned = any(micro_batch.learned for micro_batch in micro_batches)
        outcome = self.descend() if learned or self.world.size > 1 else Outcome(0.0, True)
        self.step += 1
        result = StepResult(self.step, self.optimisation.rates[0], micro_batches, outcome,
                            self.timestep_losses_of_all(micro_batches))
        earlier, self.unread = self.unread, result
        self.read(earlier)
        at_once = self.optimisation.waits or self.is_read_at_once()
        if at_once:
            result.fetched.wait()
        result.seconds = time.perf_counter() - started
        if at_once:
            self.read_all()
        return self.describe_step(self.step, self.loss, result.lr, result.seconds)

    def timestep_losses_of_all(self, micro_batches: list[MicroBatch]) -> torch.Tensor | None:
        """(N, 2) timesteps and losses of all processes; None where those of this one are all there are, or all that is
        asked for.
        """
        if self.world.size == 1 or not self.timestep_sampling.learns:
            return None
        empty = torch.zeros(0, 2, device=self.model.device)
        rows = torch.cat([empty, *(micro_batch.timestep_losses() for micro_batch in micro_batches)])
        train = self.config.train
        return self.world.joined(rows, train.batch_size * train.gradient_accumulation_steps)

    def is_read_at_once(self) -> bool:
        """Whether something is due after this step that wants its numbers."""
        step, every = self.describe_step(self.step, 0.0, 0.0, 0.0), self.config.save.state_every_n_steps
        saves = every and step.number % every == 0
        return bool(step.last or saves or self.unsaved or self.validation.is_due(step)
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
        if self.world.leads:
            self.record(step, norm)
        if self.validation.is_due(step):
            self.shorten()

    def describe_step(self, number: int, loss: float, lr: float, seconds: float) -> Step:
        epoch, ends = self.training_data.epoch(number)
        return Step(number, epoch, ends, number == self.total, loss, lr, seconds, self.skipped_steps.skipped)

    def beginning(self) -> Step:
        """Before the first step."""
        return self.describe_step(0, math.nan, 0.0, 0.0)

    def resumed_step(self) -> Step:
        """The step that the state is of, as the log tells it."""
        return self.describe_step(self.step, *(self.log.last.get(key) or 0.0 for key in ("loss", "lr", "seconds")))

    def accumulate(self, number: int, examples: list[Example], share: float) -> MicroBatch:
        """Forward and backward of one micro-batch, whose mean loss is divided by `share`."""
        seed_layers(self.model.device, self.config.train.seed, "dropout", number)
        drawn = draw(examples, number, self.training_data.cache, self.config, self.timestep_sampling)
        batches = [drawn.to(self.model.device), *self.teacher.batches(number, examples)]
        predictions = self.predict(joined(batches)).split([len(batch.latents) for batch in batches])
        losses, *teacher_losses = [self.weighted(*pair) for pair in zip(predictions, batches, strict=True)]
        loss = torch.cat([losses, *teacher_losses]).mean()
        if loss.requires_grad:
            self.optimisation.backward(loss / share)
        plain = losses.detach() / batches[0].weights
        return MicroBatch(examples, drawn.timesteps.tolist(), plain, loss.detach(), share, loss.requires_grad)

    def losses(self, batch: Batch) -> torch.Tensor:
        """(B,) the weighted loss of every example."""
        return self.weighted(self.predict(batch), batch)

    def weighted(self, prediction: torch.Tensor, batch: Batch) -> torch.Tensor:
        return weighted_losses(prediction, batch, self.config.loss, self.model.prediction_type, self.schedule)

    def predict(self, batch: Batch, conditioning: Conditioning | None = None) -> torch.Tensor:
        """The UNet's answer to a batch, told its captions, or something else."""
        noise = batch.noise if batch.perturbation is None else batch.noise + batch.perturbation
        noisy = diffusion.add_noise(batch.latents, noise, batch.timesteps, self.schedule)
        with precision.autocast(self.model.device, self.dtype):
            conditioning = replace(conditioning or self.conditioner(batch.captions, self.step), sizes=batch.sizes,
                                   concat=batch.concat)
            return self.model.family.predict(self.model, noisy.to(self.model.dtype), batch.timesteps, conditioning)

    def descend(self) -> Outcome:
        """Apply the gradients, unless they are not finite."""
        outcome = self.optimisation.step()
        if not self.optimisation.waits or outcome.finite:
            self.method.constrain()
        return outcome

    def reason_of_overflow(self, result: StepResult) -> str:
        """Which side is at fault for the numbers of a step, and what helps."""
        learning = [trained.weight for trained in self.optimisation.trained_weights]
        answers_without = partial(self.is_finite_without, result) if self.method.cheap_to_detach else None
        return overflow.reason(self.model, learning, self.dtype, self.skipped_steps.applied, answers_without)

    def is_finite_without(self, result: StepResult) -> bool:
        """Whether the model without its add-on has finite losses for the pictures of a step."""
        examples = result.micro_batches[0].examples
        drawn = draw(examples, result.number, self.training_data.cache, self.config).to(self.model.device)
        with torch.no_grad(), self.attachment.without_adapter():
            return bool(torch.isfinite(self.losses(drawn)).all())

    def record(self, step: Step, norm: float) -> None:
        measured = self.measure(step)
        self.log.write(step.row(norm) | measured)
        if measured:
            self.report_overfitting()
            if self.length.is_best(self.log.rows):
                with self.optimisation.showing_result():
                    self.fits(lambda: self.length.keep(self.method, step.number))
        self.per_image_loss.write(step.number, at_once=step.last)
        every = self.config.save.state_every_n_steps
        if (self.unsaved or every and step.number % every == 0) and not self.skipped_steps.in_a_row:
            self.save_state()

    def measure(self, step: Step) -> dict[str, float]:
        """The columns of validation, {} where it is not due."""
        if not self.validation.is_due(step):
            return {}
        with self.control.spending("validation"), self.optimisation.showing_result(), self.method.measuring():
            return self.validation.due(step)

    def report_recipe(self) -> None:
        self.control.facts["recipe"] = recipe(self.config, self.training_data.scan.pictures, self.total)
        log.info("recipe: %s", self.control.facts["recipe"])

    def shorten(self) -> None:
        """Where the run ends by itself, it ends when the measurements in the log say so."""
        self.total = self.world.agree(self.length.total(self.log.rows))
        self.control.total_steps = self.total

    def report_overfitting(self, ended: bool = False) -> None:
        self.control.facts["validation"] = assess(self.log.rows, ended)

    # the resume point, and full disks

    def save_state(self) -> None:
        """The resume point. Where the disk is full the run pauses, with the last state kept, until there is room."""
        self.read_all()
        if not self.world.leads:
            return
        with self.control.spending("saving"):
            self.unsaved = not self.fits(lambda: self.resume_point.save(self.step))
        if not self.unsaved:
            replaced.drop(self.folder)
        self.per_image_loss.write(self.step, at_once=True)

    def fits(self, write: Callable[[], T], request: str = "", folder: Path | None = None) -> T | None:
        """What `write()` answers, or None with the run put on hold when the disk is full; `request` is made again then.

        folder: that of the files, where it is not the run's own.
        """
        return held_where_full(write, self.control, self.bytes_of_largest, request, folder or self.folder)

    def bytes_of_largest(self) -> int:
        """Of the state or the final file, whichever is larger."""
        return max(self.results.bytes_of_state(self.optimisation.bytes()), self.method.disk_bytes()["file"])

    # the three verbs

    def sample(self, host: Host) -> list[Path]:
        """Pictures of the unsaved result, made by the host's own sampler; their files, none if there was no room."""
        if not self.world.leads:
            return []
        self.save_state_before_drawing()
        with (self.optimisation.showing_result(), self.attachment.in_lent_precision(), self.method.sampling(),
              self.control.spending("samples")):
            return self.fits(lambda: self.results.sample(host, self.step), "sample") or []

    def save_state_before_drawing(self) -> None:
        """A sampler may never come back, because of an extension or a stuck device, and then only killing helps.

        Where a state is large (`state.LARGE`: DreamBooth's) it is left to the settings how many steps are done again.
        """
        saved = state.path_of(self.folder, self.step).exists()
        small = self.results.bytes_of_state(self.optimisation.bytes()) < state.LARGE
        if self.step and small and not saved and not self.skipped_steps.in_a_row:
            self.save_state()

    def save(self, folder: Path) -> list[Path]:
        """Intermediate files beside the final one, and the state; the files' paths, none if there was no room."""
        self.save_state()
        epoch, ends = self.training_data.epoch(self.step)
        with self.control.spending("saving"), self.optimisation.showing_result():
            files = self.fits(lambda: self.results.save(folder, self.step, epoch if ends else None), "save", folder)
        return files or []

    def export(self, host: Host) -> Artefact | None:
        """The final file with its card and preview; None when the run is to leave nothing behind, or is put on hold
        because the disk is full. DiskFull when it is to leave before there is room.
        """
        if not self.world.leads or self.control.requested("stop_without_saving"):
            return None
        self.save_state()
        if self.control.requested("interrupt"):
            return None
        with self.optimisation.showing_result():
            if self.control.leaving():
                return self.results.export(host, self.step)
            step = self.length.go_back(self.method, self.step)
            self.control.message = self.length.sentence(self.log.rows, self.step, step) or self.control.message
            return self.fits(lambda: self.results.export(host, step), folder=host.folder(self.method.kind))
