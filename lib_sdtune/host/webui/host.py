"""The WebUI lends its loaded model: own modules, own sampler, own folders."""

import gc
from contextlib import ExitStack, contextmanager
from pathlib import Path

from modules import devices, sd_models, shared
from modules.call_queue import queue_lock

from lib_sdtune.host.base import Host
from lib_sdtune.host.webui import folders, fused, generating, model, pinned, publishing, structure
from lib_sdtune.host.webui.lock import QueueLock
from lib_sdtune.host.webui.neutral import chance, neutral


class WebUIHost(Host):
    """The one host of a WebUI process."""

    def __init__(self):
        self.lock = QueueLock(queue_lock)
        self.wishes = pinned.Wishes()
        self.sd_model = self.lent = self.bare = None

    def defaults(self, model_settings):
        """What suits the checkpoint that the settings name, or the loaded one; nothing where neither is there."""
        found = self.detected(model_settings)
        if found is None:
            return {}
        family, variant = found
        return family.defaults(variant.overridden(model_settings.prediction_type))

    def detected(self, model_settings):
        """(family, variant) of the checkpoint that a run would train, None where none is loaded or named."""
        # shared.sd_model would load one
        loaded, named = sd_models.model_data.sd_model, pinned.chosen(model_settings.checkpoint)
        if loaded is None and named is None:
            return None
        return model.detected(loaded, None if named is None else Path(named.filename))

    def check(self, model_settings):
        """UserError for a checkpoint that the WebUI does not know, or that cannot be trained."""
        self.detected(model_settings)

    def about(self):
        loaded = sd_models.model_data.sd_model
        if loaded is None:
            return {}
        return {"model": loaded.sd_checkpoint_info.name_for_extra, "family": model.detected(loaded)[0].sd_version}

    def holding(self, model_settings):
        """Of the checkpoint that the settings name, by its file, or of the loaded one."""
        loaded, named = sd_models.model_data.sd_model, pinned.chosen(model_settings.checkpoint)
        if named is not None and (loaded is None or loaded.sd_checkpoint_info.filename != named.filename):
            return model.holding_of_file(named.filename)
        return None if loaded is None else model.holding(loaded)

    def note(self):
        """What waits for the run's end, in a sentence, or ""."""
        return self.wishes.note()

    @contextmanager
    def borrow(self, model_settings, method=None):
        self.lock.acquire(self.patience)
        try:
            with (
                pinned.loaded(model_settings.checkpoint) as sd_model,
                self.lending(sd_model, model_settings.prediction_type),
            ):
                yield self.lent
        finally:
            self.sd_model = self.lent = None
            self.lock.release()
            self.wishes.grant()

    @contextmanager
    def lending(self, sd_model, prediction_type):
        self.sd_model = sd_model
        with pinned.pinned(sd_model, self.wishes):
            self.make_bare()
            try:
                self.lent = model.lend(sd_model, prediction_type)
                yield
            finally:
                self.bare.close()

    def make_bare(self):
        """Enter the two layers around a training: the model's own structure, then all that is put aside for it."""
        with ExitStack() as stack:
            stack.enter_context(structure.kept(self.sd_model))
            self.put_aside = stack.enter_context(ExitStack())
            self.put_aside.enter_context(neutral(self.sd_model))
            self.bare = stack.pop_all()

    @contextmanager
    def as_found(self):
        """The model in the WebUI's own state, with what a training has attached still on it."""
        drawn = chance.states()
        self.put_aside.close()
        try:
            yield
        finally:
            self.put_aside.enter_context(neutral(self.sd_model))
            chance.restore(drawn)

    @contextmanager
    def away(self):
        """The model as if no training were on: for others to use."""
        drawn = chance.states()
        self.bare.close()
        try:
            yield
        finally:
            self.make_bare()
            chance.restore(drawn)

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
                pins = {}
            else:
                widths = [tower.width for tower in self.lent.towers]
                stack.enter_context(self.as_found())
                stack.enter_context(generating.known(self.lent, widths))
                stack.enter_context(generating.predicting(self.sd_model, self.lent.variant))
                stack.enter_context(fused.adapted(self.sd_model))
                pins = {"sd_unet": "None"} | generating.pins(self.lent.variant)
            stack.enter_context(generating.unnoticed())
            return generating.picture(request, pins)

    def breathe(self, detached, waiting=lambda whom: None):
        """A generation that waits gets the model at the next step, unless the settings say otherwise."""
        if not self.lock.waiting() or not getattr(shared.opts, "sdtune_breathe", True):
            return
        waiting("a generation")
        with detached(), self.away():
            self.lock.hand_over()
        waiting("")

    def rest(self, detached, resting):
        with detached(), self.away():
            self.lock.release()
            try:
                while resting():
                    pass
            finally:
                self.lock.acquire()

    def tidy(self):
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
