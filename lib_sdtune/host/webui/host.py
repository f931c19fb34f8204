"""The WebUI lends its loaded model: own modules, own sampler, own folders."""

import gc
import logging
from contextlib import ExitStack, contextmanager
from pathlib import Path

from modules import devices, sd_models, shared
from modules.call_queue import queue_lock

from lib_sdtune.errors import RunError, UserError
from lib_sdtune.host.base import Host
from lib_sdtune.host.webui import clip_skip, extensions, folders, fused, generating, model, pinned, publishing, structure
from lib_sdtune.host.webui.extensions import checkpoint_file, hijack_points, ownership, picture_callbacks
from lib_sdtune.host.webui.lock import QueueLock
from lib_sdtune.host.webui.neutral import hypernetworks, neutral, placement, rng, storage
from lib_sdtune.ldm import header

log = logging.getLogger("sdtune")


class WebUIHost(Host):
    """The one host of a WebUI process."""

    def __init__(self):
        self.lock = QueueLock(queue_lock)
        self.deferred = pinned.DeferredSettings()
        self.sd_model = self.lent = self.bare = self.parameters = None
        self.logged = set()
        hijack_points.remember()  # again, for what was imported since the start

    def defaults(self, model_settings):
        """What suits the checkpoint that the settings name, or the loaded one; nothing where neither is there."""
        found = self.detected(model_settings)
        if found is None:
            return {}
        family, variant = found
        return clip_skip.laid_under(family, family.defaults(variant.overridden(model_settings.prediction_type)))

    def detected(self, model_settings):
        """(family, variant) of the checkpoint that a run would train, None where none is loaded or named."""
        # shared.sd_model would load one
        loaded, named = sd_models.model_data.sd_model, pinned.chosen(model_settings.checkpoint)
        if loaded is None and named is None:
            return None
        return model.detected(loaded, None if named is None else Path(named.filename))

    def check(self, model_settings):
        """UserError for a checkpoint that the WebUI does not know, or of which is seen without the lock that it cannot be had."""
        self.detected(model_settings)
        placement.refuse_lowvram()
        storage.refuse_fp8_setting()
        named, loaded = pinned.chosen(model_settings.checkpoint), sd_models.model_data.sd_model
        if loaded is not None and (named is None or named.filename == loaded.sd_checkpoint_info.filename):
            storage.refuse_fp8(loaded)

    def header(self, model_settings):
        loaded, named = sd_models.model_data.sd_model, pinned.chosen(model_settings.checkpoint)
        info = named or (loaded and loaded.sd_checkpoint_info)
        path = Path(info.filename) if info else None
        return header.read(path) if path and path.is_file() else None

    def about(self):
        loaded = sd_models.model_data.sd_model
        if loaded is None:
            return {}
        return {"model": loaded.sd_checkpoint_info.name_for_extra, "family": model.detected(loaded)[0].sd_version}

    def model_spec(self, model_settings):
        """Of the checkpoint that the settings name, by its file, or of the loaded one."""
        loaded, named = sd_models.model_data.sd_model, pinned.chosen(model_settings.checkpoint)
        if named is not None and (loaded is None or loaded.sd_checkpoint_info.filename != named.filename):
            return model.spec_of_file(named.filename)
        return None if loaded is None else model.spec(loaded)

    def note(self):
        """What waits for the run's end, in a sentence, or ""."""
        return self.deferred.note()

    @contextmanager
    def borrow(self, model_settings, method=None):
        self.lock.acquire(self.patience)
        try:
            with (
                named_extension(),
                pinned.loaded(model_settings.checkpoint) as sd_model,
                self.lending(sd_model, model_settings.prediction_type),
            ):
                clip_skip.tell(self.lent.family, model_settings)
                yield self.lent
        finally:
            self.sd_model = self.lent = self.parameters = None
            self.logged.clear()
            self.lock.release()
            self.deferred.grant()

    @contextmanager
    def lending(self, sd_model, prediction_type):
        self.sd_model = sd_model
        with pinned.pinned(sd_model, self.deferred):
            changes = self.make_bare()
            try:
                self.say_once(extensions.sentences(changes))
                self.say_once(extensions.silenced())
                suspicious = bool(changes or picture_callbacks.owners())
                checkpoint_file.refuse_other_weights(sd_model, everything=suspicious)
                self.lent = model.lend(sd_model, prediction_type)
                yield
            finally:
                self.bare.close()

    def make_bare(self):
        """Enter the three layers around a training: the model's own structure, what other extensions left on it, what the WebUI did.

        Gives the changes of other extensions that were put aside.
        """
        with ExitStack() as stack:
            stack.enter_context(structure.kept(self.sd_model))
            changes = [*self.own_parameters(), *stack.enter_context(extensions.put_aside(self.sd_model))]
            self.put_aside = stack.enter_context(ExitStack())
            self.put_aside.enter_context(neutral(self.sd_model))
            self.bare = stack.pop_all()
        return changes

    def own_parameters(self):
        """Parameters that somebody exchanged since the model was lent are the lent ones again; the changes."""
        if self.parameters is None:
            self.parameters = structure.Parameters(self.sd_model)
        return [ownership.Change(path, "parameter", "another extension") for path in self.parameters.put_back()]

    def say_once(self, sentences):
        for sentence in sentences:
            if sentence not in self.logged:
                self.logged.add(sentence)
                log.warning("%s", sentence)

    @contextmanager
    def as_found(self):
        """The model in the WebUI's own state, without other extensions, and with what a training has attached still on it."""
        drawn = rng.states()
        self.put_aside.close()
        try:
            with unchanged(self.sd_model):
                yield
        finally:
            self.put_aside.enter_context(neutral(self.sd_model))
            rng.restore(drawn)

    @contextmanager
    def away(self):
        """The model as if no training were on: for others to use."""
        drawn = rng.states()
        self.bare.close()
        try:
            yield
        finally:
            self.take_back()
            rng.restore(drawn)

    def take_back(self):
        """Bare again after others had the model. RunError where they left it so that the run cannot go on."""
        if shared.sd_model is not self.sd_model:
            raise RunError("Another extension loaded another model while the run waited for a picture; load the checkpoint again, "
                           "then resume.")
        try:
            self.say_once(extensions.sentences(self.make_bare()))
            checkpoint_file.refuse_other_weights(self.sd_model)
        except UserError as error:
            raise RunError(str(error)) from error

    def generate(self, requests):
        for request in requests:
            image = self.picture(request)
            if image is None:
                return  # the user pressed Interrupt: that ends the pictures, not the run
            yield image  # the model is bare again here, because a generator can be left at any yield

    def picture(self, request):
        with ExitStack() as stack:
            if self.sd_model is None:
                self.lock.acquire(self.patience)
                stack.callback(self.lock.release)
                stack.enter_context(structure.kept(shared.sd_model))
                stack.enter_context(extensions.put_aside(shared.sd_model))
                pins = {}
            else:
                widths = [tower.width for tower in self.lent.towers]
                stack.enter_context(self.as_found())
                stack.enter_context(generating.known(self.lent, widths))
                stack.enter_context(generating.predicting(self.sd_model, self.lent.variant))
                stack.enter_context(fused.adapted(self.sd_model))
                pins = {"sd_unet": "None"} | generating.pins(self.lent.variant)
            stack.enter_context(named_extension())
            stack.enter_context(extensions.pictures_alone())
            stack.enter_context(generating.unnoticed())
            return generating.picture(request, pins)

    def yield_to_queue(self, detached, waiting=lambda whom: None):
        """A generation that waits gets the model at the next step, unless the settings say otherwise."""
        if not self.lock.waiting() or not getattr(shared.opts, "sdtune_breathe", True):
            return
        waiting("a generation")
        with detached(), self.away():
            self.lock.hand_over()
        waiting("")

    def pause(self, detached, paused):
        with detached(), self.away():
            self.lock.release()
            try:
                while paused():
                    pass
            finally:
                self.lock.acquire()

    def free_memory(self):
        gc.collect()
        devices.torch_gc()

    def folder(self, kind):
        return folders.folder(kind)

    def roots(self, kind):
        return folders.roots(kind)

    def interrogator(self, name, options, patience):
        """A context manager for RGB image -> text, by the WebUI's own "deepbooru" or "blip". patience: as for the
        lock.
        """
        from lib_sdtune.host.webui.interrogating import interrogator

        return interrogator(name, options, self.lock, patience)

    def tokenizer(self):
        loaded = sd_models.model_data.sd_model
        return None if loaded is None else model.Tokenizer(model.first_wrapper(loaded))

    def image_encoder(self):
        """The WebUI's CLIP, where its weights are there."""
        from lib_sdtune.host.webui import clip

        return clip.encoder()

    def publish(self, artefact):
        self.lock.acquire()
        try:
            publishing.publish(artefact)
        finally:
            self.lock.release()


@contextmanager
def unchanged(sd_model):
    """RunError that names the module if a picture leaves the model's structure changed; its hypernetworks may come and go."""
    with hypernetworks.off(sd_model):
        before = structure.Structure(sd_model)
    yield
    with hypernetworks.off(sd_model):
        changed = before.first_difference()
    if changed:
        path, what = changed
        raise RunError(f"While a picture was drawn, {what} of {path} was changed by another extension, so the run was stopped; "
                       "switch that extension off, then resume.")


@contextmanager
def named_extension():
    """An error that was raised in another extension's code names that extension."""
    try:
        yield
    except (UserError, RunError):
        raise
    except Exception as error:
        if not (owner := ownership.failing_in(error)):
            raise
        raise RunError(f"{owner[0].upper()}{owner[1:]} failed while SD Tune had the model ({type(error).__name__}: {error}); "
                       "switch it off, then resume.") from error
