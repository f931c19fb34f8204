"""DreamBooth (Ruiz et al. 2022, arXiv 2208.12242): the model's own weights learn, in place, and a whole checkpoint
comes out.

No second model is made. The originals are kept in a file of the run folder and come back bit for bit when the run ends,
for whatever reason, and also for the time that somebody else uses the model; the trained weights are kept in a file
meanwhile.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lib_sdtune.declaration import Rate, option
from lib_sdtune.errors import DiskFull, NothingLearned, RunError, UserError
from lib_sdtune.formats import checkpoint
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.formats.backup import TensorBackup, digest
from lib_sdtune.formats.kinds import KINDS, ArtefactKind
from lib_sdtune.formats.lora import rounded
from lib_sdtune.host.base import LoadedModel
from lib_sdtune.ldm.checkpoint import header
from lib_sdtune.methods import registry
from lib_sdtune.methods.base import Artefact, FolderOf, MethodSettings
from lib_sdtune.methods.whole_model import WholeModel, rate
from lib_sdtune.networks.extract import extract
from lib_sdtune.optim.ema import EMA, EVERY
from lib_sdtune.optim.master_weights import MasterCopy, TrainedWeight
from lib_sdtune.optim.schedule import is_zero

if TYPE_CHECKING:  # they import this file
    from lib_sdtune.config import Config
    from lib_sdtune.data.scan import Scan

log = logging.getLogger("sdtune")


@dataclass
class DreamBoothConfig(MethodSettings):
    """Training the model itself."""

    unet_lr: Rate = option(2e-6, "2e-6: how fast the UNet learns.",
                           label="DreamBooth UNet learning rate", low=0, high=10)
    text_encoder_lr: Rate = option(0.0, "0 leaves the text encoder alone; 1e-6 trains it too.",
                                   label="DreamBooth text encoder learning rate", low=0, high=10)
    weights: str = option(
        "auto", "auto keeps float32 copies of half-precision weights where the GPU has room; bfloat16 needs half of "
                "the memory.",
        label="Training weights", choices=["auto", "float32", "bfloat16"])
    ema_decay: float = option(
        0.0, "0, or 0.999: saves a running average of the weights, kept in the computer's memory.",
        label="DreamBooth EMA decay", low=0, high=0.99999)
    lora_dim: int = option(0, "0, or 32 to 128: also writes what was learned as a LoRA of that rank.",
                           label="Rank of an extra LoRA", low=0, high=1024)


@registry.register("dreambooth")
class DreamBooth(WholeModel):
    """`learning`: "part.name" -> trained of every weight that learns; `lent_tensors`: the host's own tensors."""

    title, order = "DreamBooth", 2
    Settings = DreamBoothConfig
    kind, fused_backward, cheap_to_detach = "checkpoints", True, False

    def __init__(self, config: "Config", model: LoadedModel):
        super().__init__(config, model)
        self.settings = config.dreambooth
        self.parts = {name: module for name, module in model.modules() if not is_zero(self.rate(name))}
        idle = model.family.idle(model, config.model.clip_skip)
        weights = {f"{part}.{checkpoint.plain(name)}": weight for part, module in self.parts.items()
                   for name, weight in module.named_parameters() if id(weight) not in idle}
        count = sum(weight.numel() for weight in weights.values())
        self.format, trained = self.plan(config, model.device, model.dtype, count)
        self.learning = {name: trained(weight) for name, weight in weights.items()}
        every = 1 if model.device.type == "cpu" else EVERY
        self.average = EMA(self.settings.ema_decay, every) if self.settings.ema_decay else None
        self.lent_tensors, self.values_to_load, self.started = {}, None, False

    def rate(self, part: str) -> float | str:
        return rate(self.settings, part)

    @classmethod
    def kinds(cls, config: "Config") -> list[ArtefactKind]:
        return [*super().kinds(config), *([KINDS["lora"]] if config.dreambooth.lora_dim else [])]

    @classmethod
    def check(cls, config: "Config", folder: FolderOf) -> None:
        super().check(config, folder)
        if config.dreambooth.weights == "bfloat16" and config.train.mixed_precision == "no":
            raise UserError('"dreambooth.weights" is "bfloat16" and "train.mixed_precision" is "no", which asks for '
                            "float32; change one of them.")

    @classmethod
    def check_data(cls, config: "Config", scan: "Scan") -> None:
        """Warn of captions that say nothing but the class: they teach the class, not the subject."""
        for picture in scan.pictures:
            class_words = config.concepts[picture.concept].class_prompt.lower().split()
            if class_words and not picture.is_class and set(picture.caption.lower().split()) <= set(class_words):
                log.warning(
                    'The caption "%s" of %s says no more than the class prompt, so the whole class would turn into '
                    'your subject; '
                    'put a rare word into it, such as "a photo of ron cat".',
                    picture.caption,
                    picture.path.name,
                )
                return

    @classmethod
    def written_weights(cls, config: "Config") -> torch.dtype:
        return safetensors.PRECISIONS[config.save.precision]

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [
            {
                "name": part,
                "params": [trained.value for name, trained in self.learning.items() if name.startswith(f"{part}.")],
                "lr": self.rate(part),
            }
            for part in self.parts
        ]

    def trained_weights(self) -> list[TrainedWeight]:
        return list(self.learning.values())

    @property
    def dtype(self) -> torch.dtype:
        return self.format

    def changes_text(self) -> bool:
        return any(part != "unet" for part in self.parts)

    def trains_text(self, step: int) -> bool:
        until = self.config.train.stop_text_encoder_training
        return self.changes_text() and (not until or step < until)

    def predicting_modules(self) -> list[torch.nn.Module]:
        return [module for name, module in self.model.modules() if name != "vae" and name not in self.parts]

    def constrain(self) -> None:
        if self.average:
            self.average.update(self.trained())

    # originals and trained weights, one of them in the model

    @contextmanager
    def prepared(self, folder: Path) -> Iterator[None]:
        self.originals, self.trained_backup = (
            TensorBackup(folder / "originals.safetensors"),
            TensorBackup(folder / "trained.safetensors"),
        )
        self.lent_tensors = {name: trained.weight.data for name, trained in self.learning.items()}
        self.originals.write(self.lent_tensors)
        try:
            yield
        finally:
            emptied = any(
                not lent_tensor.untyped_storage().nbytes()
                for lent_tensor in self.lent_tensors.values()
                if lent_tensor.numel()
            )
            if emptied or digest(self.lent_tensors) != self.originals.digest:
                raise RunError(
                    "The checkpoint could not be put back as it was, perhaps because another program has taken the "
                    "GPU's memory; choose another checkpoint and then this one again, which reads it from its file."
                )
            self.originals.delete()
            self.trained_backup.delete()

    @contextmanager
    def attached(self) -> Iterator[None]:
        try:
            self.load_trained()
            for trained in self.learning.values():
                trained.weight.requires_grad_(True)
            yield
        finally:
            self.restore_originals()

    @torch.no_grad()
    def load_trained(self) -> None:
        for name, trained in self.learning.items():
            lent_tensor = self.lent_tensors[name]
            if lent_tensor.dtype != self.format:
                trained.weight.data = lent_tensor.to(self.format)
            if not self.started:
                trained.load_values(lent_tensor)
            release(lent_tensor, trained.weight.data)
        if self.started:
            self.resume_trained()
        elif self.average:
            self.average.start(self.trained())
        self.started = True

    def resume_trained(self) -> None:
        """Take over the trained weights from a state, or those that were put by."""
        if self.values_to_load is not None:
            for name, trained in self.learning.items():
                trained.load_values(self.values_to_load[name])
            self.values_to_load = None
            return
        trained_values = self.trained_backup.tensors()
        for name, trained in self.learning.items():
            if trained.lives_in_model:
                trained.load_values(trained_values[name])
            else:
                trained.update_model()

    @torch.no_grad()
    def restore_originals(self) -> None:
        """The originals again; first all that training holds in their place is freed, so that there is room for them.
        """
        originals = self.originals.tensors()
        for name, trained in self.learning.items():
            trained.drop_gradient()
            trained.weight.data = self.lent_tensors[name]
        more_room = [self.make_room]  # called once: what it frees stays free
        for name, lent_tensor in self.lent_tensors.items():
            if reallocate(lent_tensor, more_room):
                lent_tensor.copy_(originals[name])
            else:  # a weight without memory would end the whole program at the next picture
                self.learning[name].weight.data = originals[name].clone()

    def before_detach(self) -> None:
        """Called while attached: the trained weights, as far as they are in the model alone, go to a file, or to
        memory if that is full.
        """
        values = {name: trained.full_precision() for name, trained in self.learning.items() if trained.lives_in_model}
        try:
            self.trained_backup.write(values)
        except DiskFull:
            self.values_to_load = {name: tensor.to("cpu", copy=True) for name, tensor in self.trained().items()}

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """For samples: the weights that a save would hold now, in the host's own number format."""
        if not self.average and self.format == next(iter(self.lent_tensors.values())).dtype:
            yield
            return
        chosen, weights = self.chosen(), {}
        try:
            with torch.no_grad():
                for name, trained in self.learning.items():
                    weights[name] = trained.weight.data.to("cpu", copy=True)
                    exact = chosen[name] if self.average or not trained.lives_in_model else weights[name]
                    self.exchange(name, exact, self.lent_tensors[name].dtype)
            yield
        finally:
            with torch.no_grad():
                for name, weight in weights.items():
                    self.exchange(name, weight, weight.dtype)

    def exchange(self, name: str, values: torch.Tensor, dtype: torch.dtype) -> None:
        """Give a weight other values, in place or with its memory freed first."""
        weight, lent_tensor = self.learning[name].weight, self.lent_tensors[name]
        if weight.dtype == dtype:
            weight.data.copy_(values)
            return
        weight.data = lent_tensor
        weight.data = values.to(lent_tensor.device, dtype, copy=True)

    def trained(self) -> dict[str, torch.Tensor]:
        return {name: trained.full_precision() for name, trained in self.learning.items()}

    def chosen(self) -> Mapping[str, torch.Tensor]:
        """The weights to use: the running average if there is one."""
        return self.average.current(self.trained()) if self.average else self.trained()

    # resume

    def tensors(self) -> dict[str, torch.Tensor]:
        return self.trained() | (self.average.state() if self.average else {})

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.values_to_load, self.started = tensors, True
        if self.average:
            self.average.load(tensors)

    # files

    def disk_bytes(self) -> dict[str, int]:
        count = sum(trained.weight.numel() for trained in self.learning.values())
        exact = 4 if self.format == torch.float32 or isinstance(next(iter(self.learning.values())), MasterCopy) else 2
        size = safetensors.PRECISIONS[self.config.save.precision].itemsize
        count_all = sum(tensor.numel() for _, _, module in self.places() for tensor in module.parameters())
        return {"state": count * (exact + (4 if self.average else 0)), "file": count_all * size,
                "once": sum(trained.weight.nbytes for trained in self.learning.values()) + count * exact}

    def places(self) -> list[tuple[str, str, torch.nn.Module]]:
        """(checkpoint prefix, part's name, module) of the whole model."""
        return [(self.model.family.prefixes[name], name, module) for name, module in self.model.modules()]

    def metadata(self) -> dict[str, Any]:
        return {"ss_unet_lr": self.settings.unet_lr, "ss_text_encoder_lr": self.settings.text_encoder_lr,
                "ss_learning_rate": self.settings.unet_lr, "ss_full_bf16": self.format == torch.bfloat16,
                "sdtune_ema_decay": self.settings.ema_decay or None}

    def export(self, path: Path, metadata: dict[str, str]) -> None:
        chosen, precision = self.chosen(), safetensors.PRECISIONS[self.config.save.precision]
        self.refuse_unchanged(chosen, precision)
        facts = inherited(self.model.path) | metadata
        tensors = checkpoint.tensors(self.places(), chosen) | self.model.family.markers(self.model.variant)
        checkpoint.write(path, tensors, facts, precision)
        self.write_config(path)

    def refuse_unchanged(self, chosen: dict[str, torch.Tensor], precision: torch.dtype) -> None:
        """NothingLearned where the file would hold the original weights, because of rounding or anyway."""
        originals = self.originals.tensors()
        moved = [name for name in chosen if not torch.equal(chosen[name].cpu().float(), originals[name].float())]
        if not moved:
            raise NothingLearned("The model learned nothing: every weight is as it was at the start. "
                                 "Raise the learning rate or the number of steps.")
        if all(torch.equal(chosen[name].cpu().to(precision), originals[name].to(precision)) for name in moved):
            raise NothingLearned("What the model learned is too small for the file: rounded to "
                                 f"{self.config.save.precision}, every weight is as it was at the start. Raise the learning "
                                 'rate or the number of steps, or set "save.precision" to "float".')

    def write_config(self, path: Path) -> None:
        """The .yaml beside the checkpoint, where the WebUI needs one to know what it is."""
        self.model.family.write_config(self.model, path)

    def by_products(self, artefact: Artefact) -> list[Artefact]:
        dim = self.settings.lora_dim
        if not dim:
            return []
        path = self.model.folder("lora") / f"{self.config.name}.safetensors"
        facts = artefact.metadata | {
            "ss_network_module": "networks.lora",
            "ss_network_dim": str(dim),
            "ss_network_alpha": str(dim),
            "modelspec.architecture": artefact.metadata["modelspec.architecture"] + "/lora",
        }
        precision = safetensors.PRECISIONS[self.config.save.precision]
        tensors = {name: rounded(name, tensor, precision) for name, tensor in extract(self.differences(), dim).items()}
        if not any(torch.count_nonzero(tensor) for name, tensor in tensors.items() if name.endswith(".lora_up.weight")):
            log.warning('The extra LoRA was not written: all of it would be 0 in %s; set "save.precision" to "float".',
                        self.config.save.precision)
            return []
        safetensors.write(path, tensors, facts | safetensors.hashes(tensors, facts))
        return [Artefact(path, "lora", KINDS["lora"].prompt_tag(self.config.name), artefact.activation_text, facts)]

    def differences(self) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
        """(kohya's key, trained weight, original weight) of every layer that a LoRA can bend."""
        chosen, originals = self.chosen(), self.originals.tensors()
        names = {id(trained.weight): name for name, trained in self.learning.items()}
        for target in self.model.family.targets(self.model):
            parameter, rows = target.source
            name = names.get(id(parameter))
            if name:
                yield target.key, chosen[name][rows], originals[name][rows]


def reallocate(lent_tensor: torch.Tensor, more_room: list[Callable[[], None]]) -> bool:
    """Memory for a lent tensor again, and whether there was any. Where there is none, the first of `more_room` is taken
    out and called: it frees what others hold.
    """
    storage, size = lent_tensor.untyped_storage(), lent_tensor.numel() * lent_tensor.element_size()
    while storage.nbytes() != size:
        try:
            storage.resize_(size)
        except torch.cuda.OutOfMemoryError:
            if not more_room:
                return False
            more_room.pop()()
    return True


def release(lent_tensor: torch.Tensor, weight: torch.Tensor) -> None:
    """Free the memory of a lent tensor whose weight now lives elsewhere, but keep the tensor itself for those who
    know it.
    """
    storage = lent_tensor.untyped_storage()
    if lent_tensor.data_ptr() != weight.data_ptr() and storage.nbytes() == lent_tensor.nbytes:
        with suppress(RuntimeError):  # memory that is not torch's own, such as a mapped file's
            storage.resize_(0)


def inherited(path: Path | None) -> dict[str, str]:
    """What our own metadata of the checkpoint that was trained says about its build."""
    if not path:
        return {}
    return {key: value for key, value in header(path)[1].items() if key.startswith("sdtune_")}
