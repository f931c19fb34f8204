"""Lends a checkpoint in our own modules, and draws with it."""

import json
import os
import threading
from contextlib import contextmanager
from pathlib import Path

import torch

from lib_sdtune.devices import local_device
from lib_sdtune.errors import RunError, UserError
from lib_sdtune.families.detection import detect
from lib_sdtune.formats import hashes, lookup
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.host.base import Host, LoadedModel, ModelSpec
from lib_sdtune.host.embedded import addons, drawing
from lib_sdtune.host.embedded.lending import as_it_was
from lib_sdtune.ldm import checkpoint, header, tokenizer

EMBEDDED = Path(__file__).resolve().parents[2] / "ldm" / "embedded" / "model.safetensors"
FOLDERS = {kind.folder: kind.place for kind in KINDS.values()} | {"templates": "textual_inversion_templates", "sdtune": "sdtune"}
CHECKPOINT_ENDINGS = (*KINDS["checkpoints"].endings, ".pt")


class EmbeddedHost(Host):
    """`data_dir` holds the folders of FOLDERS; `checkpoint` is the one that is used when a config names none."""

    def __init__(self, data_dir, checkpoint=None, device=None):
        self.data_dir = Path(data_dir).absolute()
        self.checkpoint = self.find(checkpoint) if checkpoint else EMBEDDED
        self.device = torch.device(device) if device else default_device()
        self._lock, self._lent = threading.RLock(), None
        self._model, self._key, self._clip_skip = None, None, 1

    # files

    def folder(self, kind):
        return self.data_dir / FOLDERS[kind]

    def find(self, name):
        """The file of a checkpoint given by path, or by its name in models/Stable-diffusion; our own model goes by its name too."""
        if str(name) == self.checkpoint_name(EMBEDDED):
            return EMBEDDED
        if Path(name).is_file():
            return Path(name).absolute()
        return lookup.find(self.folder("checkpoints"), str(name), CHECKPOINT_ENDINGS, KINDS["checkpoints"].noun)

    def chosen(self, model_settings=None):
        name = getattr(model_settings, "checkpoint", "") or (model_settings.get("checkpoint") if isinstance(model_settings, dict) else "")
        return self.find(name) if name else self.checkpoint

    def defaults(self, model_settings=None):
        said = header.read(self.chosen(model_settings))
        family, variant = detect(said)
        variant = variant.overridden(getattr(model_settings, "prediction_type", "auto"))
        return overlaid(family.defaults(variant), json.loads(said.metadata.get("sdtune_defaults", "{}")))

    def check(self, model_settings):
        self.defaults(model_settings)
        said = header.read(self.chosen(model_settings))
        if not any(name.startswith(checkpoint.VAE) for name in said.shapes):
            raise UserError(f"{said.name} has no VAE; choose a checkpoint that has one.")

    def header(self, model_settings):
        return header.read(self.chosen(model_settings))

    def about(self):
        family, _ = detect(header.read(self.checkpoint))
        return {"model": self.checkpoint_name(self.checkpoint), "family": family.sd_version}

    def model_spec(self, model_settings=None):
        said = header.read(self.chosen(model_settings))
        family, variant = detect(said)
        return ModelSpec(family.shapes(said), torch.float32, self.device, variant, family)

    @staticmethod
    def checkpoint_name(path):
        return "sdtune-embedded" if path == EMBEDDED else path.stem

    @property
    def resolution(self):
        """Pixels a side that the host's own checkpoint was trained at."""
        return detect(header.read(self.checkpoint))[1].resolution

    # the model

    def model(self, model_settings=None):
        """The loaded model; loaded anew when another one is asked for or its file has changed."""
        path = self.chosen(model_settings)
        key = (path, *((stat := path.stat()).st_mtime_ns, stat.st_size)) if path.is_file() else (path,)
        if key != self._key:
            self._model = self._key = None  # two never fit
            self._model, self._key = self.load(path), key
        return self._model

    def tokenizer(self):
        shapes, _ = checkpoint.header(self.checkpoint)
        size = next((shape[0] for name, shape in shapes.items() if name.endswith("token_embedding.weight")), None)
        return tokenizer.find(self.checkpoint, size) if size else None

    def load(self, path):
        said = header.read(path)
        family, variant = detect(said)
        tensors, metadata = checkpoint.read(path)
        unet, vae, text_encoders = checkpoint.build(tensors, metadata, plan=family.parts.values(), architecture=said.architecture())
        words = tokenizer.find(path, family.towers(text_encoders)[0].token_embedding.num_embeddings)
        for part in (unet, vae, *text_encoders):
            part.to(self.device)
        return LoadedModel(family, unet, vae, text_encoders, words, checkpoint.alphas_cumprod(), name=self.checkpoint_name(path),
                           hash=hashes.whole(path)[:10], variant=variant, folder=self.folder, path=path)

    @contextmanager
    def borrow(self, model_settings=None, method=None):
        with self.turn():
            if self._lent:
                raise RunError("The model is lent to another run; wait for that run to end.")
            model = self.model(model_settings)
            model.embeddings = addons.embeddings(model, self.folder("embeddings"))
            self._lent, self._clip_skip = model, getattr(model_settings, "clip_skip", 1)
            by_file = model.variant
            model.variant = by_file.overridden(getattr(model_settings, "prediction_type", "auto"))
            try:
                with as_it_was(*(module for _, module in model.modules())):
                    yield model
            finally:
                self._lent, self._clip_skip = None, 1
                model.embeddings, model.variant = {}, by_file
                self.restore_weights(model)

    @contextmanager
    def turn(self):
        """Wait until no other thread uses the model."""
        while not self._lock.acquire(timeout=0.2):
            self.patience()
        try:
            yield
        finally:
            self._lock.release()

    def restore_weights(self, model):
        """Put back what training moved, from the file; a file that is no longer there or another one is loaded anew when needed."""
        try:
            tensors, _ = checkpoint.read(self._key[0])
            for name, part in model.modules():
                put_back(part, tensors, model.family.prefixes[name])
        except UserError:
            self._model = self._key = None

    def generate(self, requests):
        with self._lock:
            model = self._lent or self.model()
            found = addons.embeddings(model, self.folder("embeddings"))
            own, model.embeddings = model.embeddings, found | model.embeddings
            try:
                yield from drawing.pictures(model, list(requests), self.folder, self._clip_skip)
            finally:
                model.embeddings = own

    def publish(self, artefact):
        """Nothing to refresh: folders are read whenever a prompt names a file. RunError if that would be another one."""
        kind = KINDS[artefact.kind]
        paths = lookup.by_name(self.folder(artefact.kind), (*kind.endings, *kind.pictures))
        listed = paths.get(artefact.path.stem, artefact.path)
        if listed.resolve() != artefact.path.resolve():
            raise RunError(f"Prompts get {listed} under the name {artefact.path.stem}, not {artefact.path}, "
                           "which was written. Move or rename that file.")


@torch.no_grad()
def put_back(part, tensors, prefix):
    """Tensor by tensor, so that no second model is in memory meanwhile."""
    for name, tensor in part.named_parameters():
        was = checkpoint.fit(tensors, prefix, name, tensor, tensor.dtype).to(tensor.device)
        if not torch.equal(tensor, was):
            tensor.copy_(was)


def default_device():
    """The GPU, under torchrun this process's own; the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    rank = os.environ.get("LOCAL_RANK")
    return torch.device("cuda") if rank is None else local_device(int(rank))


def overlaid(below, above):
    """`above` laid over `below`, group by group."""
    return below | {key: overlaid(below.get(key, {}), value) if isinstance(value, dict) else value for key, value in above.items()}
