"""DreamBooth (Ruiz et al. 2022, arXiv 2208.12242): the model's own weights learn, in place, and a whole checkpoint
comes out.

No second model is made. The originals are kept in a file of the run folder and come back bit for bit when the run ends,
for whatever reason, and also for the time that somebody else uses the model; the trained weights are kept in a file
meanwhile.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lib_sdtune.artefacts import checkpoint
from lib_sdtune.data.scan import Scan
from lib_sdtune.errors import NothingLearned, UserError
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.formats.kinds import KINDS, ArtefactKind
from lib_sdtune.ldm import header
from lib_sdtune.ldm.architecture import Part
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.methods import extra_lora, registry
from lib_sdtune.methods.base import Artefact, FolderOf
from lib_sdtune.methods.dreambooth_settings import DreamBoothConfig
from lib_sdtune.methods.lent_weights import LentWeights
from lib_sdtune.methods.whole_model import WholeModel, rate
from lib_sdtune.optim.ema import EMA, EVERY
from lib_sdtune.optim.master_weights import MasterCopy, TrainedWeight
from lib_sdtune.optim.schedule import is_zero
from lib_sdtune.sections.general import GeneralConfig

log = logging.getLogger("sdtune")


@registry.register("dreambooth")
class DreamBooth(WholeModel):
    """`learning`: "part.name" -> `TrainedWeight` of every weight that learns; `lent`: the host's own values of them."""

    title, order = "DreamBooth", 2
    Settings = DreamBoothConfig
    kind, fused_backward, cheap_to_detach, goes_back = "checkpoints", True, False, False

    def __init__(self, config: GeneralConfig, model: LoadedModel) -> None:
        super().__init__(config, model)
        self.settings = config.dreambooth
        self.parts = {name: module for name, module in model.modules() if not is_zero(self.rate(name))}
        unused = model.family.unused_parameters(model, config.model.clip_skip)
        weights = {f"{part}.{checkpoint.plain(name)}": weight for part, module in self.parts.items()
                   for name, weight in module.named_parameters() if id(weight) not in unused}
        count = sum(weight.numel() for weight in weights.values())
        self.format, trained = self.plan(config, model.device, model.dtype, count)
        self.learning = {name: trained(weight) for name, weight in weights.items()}
        every = 1 if model.device.type == "cpu" else EVERY
        self.average = EMA(self.settings.ema_decay, every) if self.settings.ema_decay else None
        self.lent = LentWeights(self.learning, self.format, lambda: self.make_room())

    def rate(self, part: str) -> float | str:
        return rate(self.settings, part)

    @classmethod
    def kinds(cls, config: GeneralConfig) -> list[ArtefactKind]:
        return [*super().kinds(config), *([KINDS["lora"]] if config.dreambooth.lora_dim else [])]

    @classmethod
    def check(cls, config: GeneralConfig, folder: FolderOf) -> None:
        super().check(config, folder)
        if config.dreambooth.weights == "bfloat16" and config.train.mixed_precision == "no":
            raise UserError('"dreambooth.weights" is "bfloat16" and "train.mixed_precision" is "no", which asks for '
                            "float32; change one of them.")

    @classmethod
    def check_data(cls, config: GeneralConfig, scan: Scan) -> None:
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
    def written_weights(cls, config: GeneralConfig) -> torch.dtype:
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
        with self.lent.kept(folder):
            yield

    @contextmanager
    def attached(self) -> Iterator[None]:
        with self.lent.replaced():
            if self.average and not self.average.started:
                self.average.start(self.trained())
            yield

    def before_detach(self) -> None:
        """Called while attached: the trained weights, as far as they are in the model alone, go to a file, or to
        memory if that is full.
        """
        self.lent.store_trained()

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """For samples: the weights that a save would hold now, in the host's own number format."""
        if not self.average and {self.format} == set(self.lent.dtypes.values()):
            yield
            return
        with self.lent.showing(self.weights_to_save() if self.average else None):
            yield

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """For validation: the running average, where that is what a save would hold."""
        if not self.average:
            yield
            return
        with self.lent.showing(self.weights_to_save(), self.format):
            yield

    def trained(self) -> dict[str, torch.Tensor]:
        return {name: trained.full_precision() for name, trained in self.learning.items()}

    def weights_to_save(self) -> Mapping[str, torch.Tensor]:
        """The weights to use: the running average if there is one."""
        return self.average.current(self.trained()) if self.average else self.trained()

    # resume

    def tensors(self) -> dict[str, torch.Tensor]:
        return self.trained() | (self.average.state() if self.average else {})

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.lent.load(tensors)
        if self.average:
            self.average.load(tensors)

    # files

    def main_memory_bytes(self) -> int:
        if self.average is None or self.model.device.type == "cpu":
            return 0
        return 4 * sum(trained.weight.numel() for trained in self.learning.values())

    def disk_bytes(self) -> dict[str, int]:
        count = sum(trained.weight.numel() for trained in self.learning.values())
        exact = 4 if self.format == torch.float32 or isinstance(next(iter(self.learning.values())), MasterCopy) else 2
        size = safetensors.PRECISIONS[self.config.save.precision].itemsize
        count_all = sum(tensor.numel() for _, _, module in self.checkpoint_parts() for tensor in module.parameters())
        return {"state": count * (exact + (4 if self.average else 0)), "file": count_all * size,
                "once": sum(trained.weight.nbytes for trained in self.learning.values()) + count * exact}

    def checkpoint_parts(self) -> list[tuple[Part, str, torch.nn.Module]]:
        """(part of a checkpoint, its name, module) of the whole model."""
        return [(self.model.family.parts[name], name, module) for name, module in self.model.modules()]

    def metadata(self) -> dict[str, Any]:
        return {"ss_unet_lr": self.settings.unet_lr, "ss_text_encoder_lr": self.settings.text_encoder_lr,
                "ss_learning_rate": self.settings.unet_lr, "ss_full_bf16": self.format == torch.bfloat16,
                "sdtune_ema_decay": self.settings.ema_decay or None}

    def export(self, path: Path, metadata: dict[str, str]) -> None:
        chosen, precision = self.weights_to_save(), safetensors.PRECISIONS[self.config.save.precision]
        self.refuse_unchanged(chosen, precision)
        facts = inherited(self.model.path) | metadata
        tensors = checkpoint.tensors(self.checkpoint_parts(), chosen)
        tensors |= checkpoint.unrounded(tensors, self.model.path) | self.model.family.markers(self.model.variant)
        checkpoint.write(path, tensors, facts, precision)
        self.write_config(path)

    def refuse_unchanged(self, chosen: dict[str, torch.Tensor], precision: torch.dtype) -> None:
        """NothingLearned where the file would hold the original weights, because of rounding or anyway."""
        originals = self.lent.originals.tensors()
        moved = [name for name in chosen if not torch.equal(chosen[name].cpu().float(), originals[name].float())]
        if not moved:
            raise NothingLearned("The model learned nothing: every weight is as it was at the start. "
                                 "Raise the learning rate or the number of steps.")
        if all(torch.equal(chosen[name].cpu().to(precision), originals[name].to(precision)) for name in moved):
            raise NothingLearned("What the model learned is too small for the file: rounded to "
                                 f"{self.config.save.precision}, every weight is as it was at the start. Raise the "
                                 'learning rate or the number of steps, or set "save.precision" to "float".')

    def write_config(self, path: Path) -> None:
        """The .yaml beside the checkpoint, where the WebUI needs one to know what it is."""
        self.model.family.write_config(self.model, path)

    def extra_artefacts(self, artefact: Artefact) -> list[Artefact]:
        if not self.settings.lora_dim:
            return []
        path = self.model.folder("lora") / f"{self.config.name}.safetensors"
        lora = extra_lora.write(path, self.differences(), self.settings.lora_dim, self.config.save.precision, artefact)
        return [lora] if lora else []

    def differences(self) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
        """(kohya's key, trained weight, original weight) of every layer that a LoRA can bend."""
        chosen, originals = self.weights_to_save(), self.lent.originals.tensors()
        names = {id(trained.weight): name for name, trained in self.learning.items()}
        for target in self.model.family.targets(self.model):
            parameter, rows = target.source
            name = names.get(id(parameter))
            if name:
                yield target.key, chosen[name][rows], originals[name][rows]


def inherited(path: Path | None) -> dict[str, str]:
    """What our own metadata of the checkpoint that was trained says about its build."""
    if not path:
        return {}
    return {key: value for key, value in header.read(path).metadata.items() if key.startswith("sdtune_")}
