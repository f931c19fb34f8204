"""Lends a checkpoint in our own modules, and draws with it."""

import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import nn

from lib_sdtune import methods
from lib_sdtune.devices import local_device
from lib_sdtune.diffusion import alphas_cumprod
from lib_sdtune.errors import RunError, UserError
from lib_sdtune.failures import out_of_memory
from lib_sdtune.families.detection import detect
from lib_sdtune.formats import hashes, lookup
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.formats.paths import is_file
from lib_sdtune.formats.plain_data import overlaid
from lib_sdtune.host.base import FinishedFile, Host, SampleRequest
from lib_sdtune.host.embedded import addons, drawing
from lib_sdtune.host.embedded.lending import restored
from lib_sdtune.ldm import architecture, checkpoint, header, recommended, tokenizer
from lib_sdtune.ldm.embedded_model import EMBEDDED
from lib_sdtune.ldm.header import Header
from lib_sdtune.loaded_model import LoadedModel, ModelSpec

FOLDERS = {kind.folder: kind.place for kind in KINDS.values()} | {
    "templates": "textual_inversion_templates", "taggers": "models/WD14", "sdtune": "sdtune"}
CHECKPOINT_ENDINGS = (*KINDS["checkpoints"].endings, ".pt")


class EmbeddedHost(Host):
    """`data_dir` holds the folders of FOLDERS; `checkpoint` is the one that is used when a config names none."""

    def __init__(self, data_dir: str | Path, checkpoint: str | Path | None = None,
                 device: str | torch.device | None = None) -> None:
        self.data_dir = Path(data_dir).absolute()
        self.checkpoint = self.find(checkpoint) if checkpoint else EMBEDDED
        self.device = torch.device(device) if device else default_device()
        self._lock, self._borrowed = threading.RLock(), None
        self._model, self._key, self._clip_skip = None, None, 1

    # files

    def folder(self, kind: str) -> Path:
        return self.data_dir / FOLDERS[kind]

    def find(self, name: str | Path) -> Path:
        """The file of a checkpoint given by path, or by its name in models/Stable-diffusion; our own model has a name,
        too.
        """
        if str(name) == self.checkpoint_name(EMBEDDED):
            return EMBEDDED
        if is_file(name):
            return Path(name).absolute()
        return lookup.find(self.folder("checkpoints"), str(name), CHECKPOINT_ENDINGS, KINDS["checkpoints"].noun)

    def chosen(self, model_settings: Any = None) -> Path:
        by_key = model_settings.get("checkpoint") if isinstance(model_settings, dict) else ""
        name = getattr(model_settings, "checkpoint", "") or by_key
        return self.find(name) if name else self.checkpoint

    def defaults(self, model_settings: Any = None) -> dict[str, Any]:
        path = self.chosen(model_settings)
        file_header = header.read(path)
        family, variant = detect(file_header)
        variant = variant.overridden(getattr(model_settings, "prediction_type", "auto"))
        own = recommended.of_embedded_model(file_header) or recommended.by_metadata(file_header)
        return overlaid(own, methods.suited(family, variant))

    def check(self, model_settings: Any) -> None:
        self.defaults(model_settings)
        file_header = header.read(self.chosen(model_settings))
        if not any(name.startswith(checkpoint.VAE) for name in file_header.shapes):
            raise UserError(f"{file_header.name} has no VAE; choose a checkpoint that has one.")

    def header(self, model_settings: Any) -> Header:
        return header.read(self.chosen(model_settings))

    def about(self, model_settings: Any = None) -> dict[str, str]:
        path = self.chosen(model_settings)
        try:
            return {"model": self.checkpoint_name(path), "family": detect(header.read(path))[0].sd_version}
        except UserError as error:
            return {"model": self.checkpoint_name(path), "family": "", "problem": str(error)}

    def model_spec(self, model_settings: Any = None) -> ModelSpec:
        file_header = header.read(self.chosen(model_settings))
        family, variant = detect(file_header)
        return ModelSpec(family.shapes(file_header), torch.float32, self.device, variant, family)

    @staticmethod
    def checkpoint_name(path: Path) -> str:
        return "sdtune-embedded" if path == EMBEDDED else path.stem

    @property
    def resolution(self) -> int:
        """Pixels a side that the host's own checkpoint was trained at."""
        return detect(header.read(self.checkpoint))[1].resolution

    # the model

    def model(self, model_settings: Any = None) -> LoadedModel:
        """The loaded model; loaded anew when another one is asked for or its file has changed."""
        path = self.chosen(model_settings)
        key = (path, *((stat := path.stat()).st_mtime_ns, stat.st_size)) if path.is_file() else (path,)
        if key != self._key:
            self._model = self._key = None  # two never fit
            self._model, self._key = self.load(path), key
        return self._model

    def tokenizer(self) -> Callable[[str], list[int]] | None:
        shapes, _ = checkpoint.header(self.checkpoint)
        size = next((shape[0] for name, shape in shapes.items() if name.endswith("token_embedding.weight")), None)
        return tokenizer.find(self.checkpoint, size) if size else None

    def load(self, path: Path) -> LoadedModel:
        file_header = header.read(path)
        family, variant = detect(file_header)
        tensors, metadata = checkpoint.read(path)
        unet, vae, text_encoders = architecture.build(tensors, metadata, parts=family.parts.values(),
                                                      architecture=file_header.architecture())
        clip_tokenizer = tokenizer.find(path, family.towers(text_encoders)[0].token_embedding.num_embeddings)
        for part in (unet, vae, *text_encoders):
            part.to(self.device)
        sha256 = hashes.sha256(path)
        return LoadedModel(family, unet, vae, text_encoders, clip_tokenizer, alphas_cumprod(),
                           name=self.checkpoint_name(path), hash=sha256[:10], variant=variant,
                           folder=self.folder, path=path, sha256=sha256)

    @contextmanager
    def borrow(self, model_settings: Any = None, idle: Collection[str] = ()) -> Iterator[LoadedModel]:
        with self.turn():
            if self._borrowed:
                raise RunError("The model is lent to another run; wait for that run to end.")
            model = self.model(model_settings)
            model.embeddings = addons.embeddings(model, self.folder("embeddings"))
            self._borrowed, self._clip_skip = model, getattr(model_settings, "clip_skip", 1)
            by_file = model.variant
            model.variant = by_file.overridden(getattr(model_settings, "prediction_type", "auto"))
            try:
                with restored(*(module for _, module in model.modules())):
                    yield model
            finally:
                self._borrowed, self._clip_skip = None, 1
                model.embeddings, model.variant = {}, by_file
                self.restore_weights(model)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until no other thread uses the model."""
        while not self._lock.acquire(timeout=0.2):
            self.on_wait()
        try:
            yield
        finally:
            self._lock.release()

    def restore_weights(self, model: LoadedModel) -> None:
        """Put back what training moved, from the file; the model is loaded anew when needed where that is gone or
        another one, or where the GPU has no room.
        """
        try:
            tensors, _ = checkpoint.read(self._key[0])
            for name, part in model.modules():
                put_back(part.to(self.device), tensors, model.family.prefixes[name])
        except Exception as error:
            self._model = self._key = None
            if not isinstance(error, UserError) and not out_of_memory(error):
                raise

    def generate(self, requests: Sequence[SampleRequest]) -> Iterator[Image]:
        with self.turn():
            model = self._borrowed or self.model()
            by_file = addons.embeddings(model, self.folder("embeddings"))
            borrowed_embeddings, model.embeddings = model.embeddings, by_file | model.embeddings
            try:
                yield from drawing.pictures(model, list(requests), self.folder, self._clip_skip)
            finally:
                model.embeddings = borrowed_embeddings

    def check_request(self, request: SampleRequest) -> None:
        drawing.check(request, self.folder)

    def publish(self, artefact: FinishedFile) -> None:
        """Nothing to refresh: a prompt reads the folders anew. RunError if it would find another file."""
        kind = KINDS[artefact.kind]
        paths = lookup.by_name(self.folder(artefact.kind), (*kind.endings, *kind.pictures))
        listed = paths.get(artefact.path.stem, artefact.path)
        if listed.resolve() != artefact.path.resolve():
            raise RunError(f"Prompts get {listed} under the name {artefact.path.stem}, not {artefact.path}, "
                           "which was just written. Move or rename that file.")


@torch.no_grad()
def put_back(part: nn.Module, tensors: dict[str, torch.Tensor], prefix: str) -> None:
    """Tensor by tensor, so that no second model is in memory meanwhile."""
    for name, tensor in part.named_parameters():
        stored = architecture.fit(tensors, prefix, name, tensor, tensor.dtype).to(tensor.device)
        if not torch.equal(tensor, stored):
            tensor.copy_(stored)


def default_device() -> torch.device:
    """The GPU, under torchrun this process's own; the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    rank = os.environ.get("LOCAL_RANK")
    return torch.device("cuda") if rank is None else local_device(int(rank))
