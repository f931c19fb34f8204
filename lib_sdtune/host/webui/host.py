"""The WebUI lends its loaded model: own modules, own sampler, own folders."""

import gc
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from modules import devices, shared
from modules.call_queue import queue_lock
from PIL.Image import Image
from torch import nn

from lib_sdtune import methods
from lib_sdtune.errors import RunError, UserError
from lib_sdtune.families.base import Family
from lib_sdtune.families.variant import Variant
from lib_sdtune.formats.plain_data import overlaid
from lib_sdtune.host.base import Detached, FinishedFile, Host, SampleRequest
from lib_sdtune.host.watcher import watcher
from lib_sdtune.host.webui import (
    clip_skip,
    extensions,
    folders,
    forks,
    fused,
    generating,
    model,
    optional_features,
    pinned,
    prompt_tags,
    publishing,
    sampler_watchdog,
    structure,
)
from lib_sdtune.host.webui.borrowed import Borrowed
from lib_sdtune.host.webui.deferred import DeferredSettings, selected_checkpoint
from lib_sdtune.host.webui.extensions import blame, checkpoint_file, hijack_points, ownership
from lib_sdtune.host.webui.forks.lent_parameters import LentParameters
from lib_sdtune.host.webui.lock import QueueLock
from lib_sdtune.host.webui.neutral import backends, hypernetworks, neutral, placement, prompt_loras, rng, storage
from lib_sdtune.host.webui.token_counters import Turns
from lib_sdtune.ldm import header, recommended
from lib_sdtune.ldm.header import Header
from lib_sdtune.loaded_model import LoadedModel, ModelSpec

log = logging.getLogger("sdtune")


class WebUIHost(Host):
    """The one host of a WebUI process."""

    def __init__(self) -> None:
        self.lock, self.fork = QueueLock(queue_lock), forks.current()
        self.deferred = DeferredSettings()
        self.borrowed, self.turns = Borrowed(), Turns()
        hijack_points.remember()  # again, for what was imported since the start

    def defaults(self, model_settings: Any) -> dict[str, Any]:
        """What suits the checkpoint that the settings name, or the loaded one; nothing where neither is there."""
        detected = self.detected(model_settings)
        if detected is None:
            return {}
        family, variant = detected
        suited = methods.suited(family, variant.overridden(model_settings.prediction_type))
        own = recommended.of_embedded_model(self.header(model_settings))
        own.pop("sample", None)  # samples show what the WebUI's own pictures will, which begin with its own guidance
        return clip_skip.with_webui_clip_skip(family, overlaid(own, suited))

    def detected(self, model_settings: Any) -> tuple[Family, Variant] | None:
        """(family, variant) of the checkpoint that a run would train, None where none is loaded or chosen."""
        entry = self.entry(model_settings)
        return None if entry is None else model.detected(self.fork.loaded(), Path(entry.filename))

    def check(self, model_settings: Any) -> None:
        """UserError for a checkpoint that is unknown, or cannot be trained as far as is seen without the lock."""
        detected = self.detected(model_settings)
        if detected is not None:
            self.fork.check_family(detected[0])
        placement.refuse_lowvram()
        storage.refuse_fp8_setting(detected[0].sd_version if detected else "")
        entry, loaded = self.entry(model_settings), self.fork.loaded()
        if loaded is not None and entry.filename == loaded.sd_checkpoint_info.filename:
            storage.refuse_low_bits(loaded)

    def why_unusable(self, kind: str) -> str:
        return self.fork.why_unusable(kind)

    def header(self, model_settings: Any) -> Header | None:
        entry = self.entry(model_settings)
        path = Path(entry.filename) if entry else None
        return header.read(path) if path and path.is_file() else None

    def about(self, model_settings: Any = None) -> dict[str, str]:
        entry = self.entry(model_settings)
        if entry is None:
            return {}
        answer = {"model": entry.name_for_extra, "title": entry.title, "selected": selected_checkpoint(), "family": ""}
        try:
            family, _ = model.detected(self.fork.loaded(), Path(entry.filename))
            self.fork.check_family(family)
        except UserError as error:
            return answer | {"problem": str(error)}
        return answer | {"family": family.sd_version}

    def loaded_file(self) -> Path | None:
        entry = self.entry()
        return None if entry is None else Path(entry.filename)

    def entry(self, model_settings: Any = None) -> Any | None:
        """The WebUI's entry for the checkpoint that the settings name, or the loaded one; None while there is none."""
        return pinned.chosen(model_settings.checkpoint if model_settings else "") or self.fork.checkpoint()

    def model_spec(self, model_settings: Any) -> ModelSpec | None:
        """Of the checkpoint that the settings name, by its file, or of the loaded one."""
        entry, loaded = self.entry(model_settings), self.fork.loaded()
        if entry is not None and (loaded is None or loaded.sd_checkpoint_info.filename != entry.filename):
            return model.spec_of_file(entry.filename)
        return None if loaded is None else model.spec(loaded)

    def deferred_settings(self) -> list[dict[str, Any]]:
        return self.deferred.report()

    def drop_deferred_setting(self, name: str) -> None:
        self.deferred.drop(name)

    @contextmanager
    def borrow(self, model_settings: Any, idle: Collection[str] = ()) -> Iterator[LoadedModel]:
        self.lock.acquire(self.on_wait)
        self.borrowed.idle = idle
        try:
            with (
                blame.extension_named(),
                pinned.loaded(model_settings.checkpoint) as sd_model,
                self.lending(sd_model, model_settings.prediction_type),
            ):
                clip_skip.warn_of_difference(self.borrowed.loaded_model.family, model_settings)
                yield self.borrowed.loaded_model
        finally:
            vars(self.borrowed).update(vars(Borrowed()))
            self.lock.release()
            self.deferred.apply()

    @contextmanager
    def lending(self, sd_model: nn.Module, prediction_type: str) -> Iterator[None]:
        self.borrowed.sd_model, self.borrowed.lent_parameters = sd_model, LentParameters()
        with pinned.pinned(sd_model, self.deferred):
            changes = self.make_bare()
            try:
                self.warn_once(extensions.sentences(changes))
                self.warn_once(extensions.silenced())
                checkpoint_file.refuse_other_weights(sd_model, everything=not all(change.in_code for change in changes))
                self.borrowed.loaded_model = model.lend(sd_model, prediction_type)
                yield
            finally:
                self.borrowed.bare.close()

    def make_bare(self) -> list[ownership.Change]:
        """Enter the layers around a training: what pictures left on the weights, the model's own structure, what other
        extensions left on it, what the WebUI did. Returns the changes of other extensions that were put aside.
        """
        borrowed = self.borrowed
        with ExitStack() as stack:
            stack.enter_context(self.fork.bare(borrowed.sd_model, borrowed.lent_parameters))
            stack.enter_context(structure.restored(borrowed.sd_model))
            changes = [*self.restore_parameters(), *stack.enter_context(extensions.put_aside(borrowed.sd_model))]
            borrowed.put_aside = stack.enter_context(ExitStack())
            borrowed.put_aside.enter_context(neutral(borrowed.sd_model, borrowed.idle, self.fork.concerns))
            borrowed.bare = stack.pop_all()
        return changes

    def restore_parameters(self) -> list[ownership.Change]:
        """Parameters that somebody exchanged since the model was lent are the lent ones again; the changes."""
        if self.borrowed.parameters is None:
            self.borrowed.parameters = structure.Parameters(self.borrowed.sd_model)
        exchanged = self.borrowed.parameters.put_back()
        return [ownership.Change(path, "parameter", "another extension") for path in exchanged]

    def warn_once(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            if sentence not in self.borrowed.logged:
                self.borrowed.logged.add(sentence)
                log.warning("%s", sentence)

    @contextmanager
    def with_webui_state(self) -> Iterator[None]:
        """The model in the WebUI's own state, without other extensions, and with what a training has attached to it."""
        borrowed = self.borrowed
        with rng.restored(borrowed.sd_model), backends.restored(borrowed.sd_model):
            borrowed.put_aside.close()
            try:
                settled = self.fork.settled(borrowed.sd_model, borrowed.lent_parameters)
                with blame.unchanged(borrowed.sd_model), settled:
                    yield
            finally:
                borrowed.put_aside.enter_context(neutral(borrowed.sd_model, borrowed.idle, self.fork.concerns))

    @contextmanager
    def lent_to_others(self) -> Iterator[None]:
        """The model as if no training were on: for others to use."""
        before = rng.states()
        self.borrowed.bare.close()
        try:
            yield
        finally:
            self.take_back()
            rng.restore(before)

    def take_back(self) -> None:
        """Bare again after others had the model. RunError where they left it so that the run cannot go on."""
        if self.fork.loaded() is not self.borrowed.sd_model:
            raise RunError("Another extension loaded another model while the run waited for a picture; load the "
                           "checkpoint again, then resume.")
        try:
            self.warn_once(extensions.sentences(self.make_bare()))
            checkpoint_file.refuse_other_weights(self.borrowed.sd_model)
        except UserError as error:
            raise RunError(str(error)) from error

    def generate(self, requests: Sequence[SampleRequest]) -> Iterator[Image]:
        for request in requests:
            image = None if watcher().cancelled() else self.picture(request)
            if image is None:
                return  # the user pressed Interrupt: that ends the pictures, not the run
            yield image  # the model is bare again here, because a generator can be left at any yield

    def picture(self, request: SampleRequest) -> Image | None:
        with ExitStack() as stack:
            if self.borrowed.sd_model is None:
                self.lock.acquire(self.on_wait)
                stack.callback(self.lock.release)
                sd_model, parameters = self.fork.model(), LentParameters()
                stack.enter_context(self.fork.bare(sd_model, parameters))
                stack.enter_context(structure.restored(sd_model))
                stack.enter_context(extensions.put_aside(sd_model))
                with prompt_loras.off(sd_model), hypernetworks.off(sd_model):
                    checkpoint_file.refuse_other_weights(sd_model)
                stack.enter_context(self.fork.settled(sd_model, parameters))
                pins = {}
            else:
                widths = [tower.width for tower in self.borrowed.loaded_model.towers]
                stack.enter_context(self.with_webui_state())
                stack.enter_context(generating.embeddings_known(self.borrowed.loaded_model, widths))
                stack.enter_context(self.fork.predicting(self.borrowed.sd_model, self.borrowed.loaded_model.variant))
                stack.enter_context(fused.adapted(self.borrowed.sd_model))
                pins = {"sd_unet": "None"} | generating.pins(self.borrowed.loaded_model.variant)
            stack.enter_context(blame.extension_named())
            stack.enter_context(extensions.pictures_alone())
            stack.enter_context(generating.unnoticed())
            stack.enter_context(sampler_watchdog.watching(request))
            return generating.picture(request, pins)

    def unknown_tags(self, prompt: str) -> list[str]:
        return prompt_tags.unknown(prompt)

    def yield_to_queue(self, detached: Detached, waiting: Callable[[str], None] = lambda purpose: None) -> None:
        """A generation that waits gets the model at the next step, unless the settings say otherwise."""
        if self.turns.due(self.lock, getattr(shared.opts, "sdtune_breathe", True)):
            waiting("a generation")
            with self.turns.measured(), detached(), self.lent_to_others():
                self.lock.hand_over()
            waiting("")

    def pause(self, detached: Detached, paused: Callable[[], bool]) -> None:
        with detached(), self.lent_to_others():
            self.lock.release()
            try:
                while paused():
                    pass
            finally:
                self.lock.acquire()

    def is_wanted(self) -> bool:
        return self.lock.waiting()

    def free_memory(self) -> None:
        gc.collect()
        devices.torch_gc()

    def folder(self, kind: str) -> Path:
        return folders.folder(kind)

    def roots(self, kind: str) -> list[Path]:
        return folders.roots(kind)

    def interrogator(self, name: str, options: Any,
                     on_wait: Callable[[], None]) -> AbstractContextManager[Callable[[Image], str]]:
        """A context manager for RGB image -> text: the WebUI's own "deepbooru" or "blip". on_wait: the lock's."""
        return optional_features.interrogator(name, options, self.lock, on_wait)

    def tokenizer(self) -> Callable[[str], list[int]] | None:
        loaded = self.fork.loaded()
        return None if loaded is None else model.Tokenizer(model.first_wrapper(loaded))

    def image_encoder(self) -> Any | None:
        return optional_features.image_encoder()

    def publish(self, artefact: FinishedFile) -> None:
        with self.lock:
            publishing.publish(artefact)
