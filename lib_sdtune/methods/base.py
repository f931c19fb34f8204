"""A method decides what is trained and which file comes out; it knows no family."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lib_sdtune import optim
from lib_sdtune.data import captions
from lib_sdtune.data.scan import Scan
from lib_sdtune.errors import NothingLearned
from lib_sdtune.families.base import Family
from lib_sdtune.formats.kinds import KINDS, ArtefactKind
from lib_sdtune.formats.tensors import PRECISIONS, digest
from lib_sdtune.loaded_model import LoadedModel, ModelSpec
from lib_sdtune.networks.base import Adapter
from lib_sdtune.optim.half_copies import HalfCopies
from lib_sdtune.optim.master_weights import TrainedWeight
from lib_sdtune.sections.general import GeneralConfig

FolderOf = Callable[[str], Path]
"""The host's `folder(kind)`."""


@dataclass
class Artefact:
    """A finished file.

    `kind` is the host's folder for it; `tag` is what a user types to use it, such as <lora:ron:1>.
    """

    path: Path
    kind: str
    tag: str
    activation_text: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    extra_artefacts: list["Artefact"] = field(default_factory=list)  # further artefacts of the same run


class MethodSettings:
    """A method's section of the config: a dataclass of `declaration.option`s. Rates are called "lr" or end in "_lr"."""

    # what a run of automatic length takes at most, in pictures shown: each so often, and all of them in these limits
    showings, fewest_examples, most_examples = 150, 1000, 3000

    def examples_for(self, pictures: int) -> int:
        """How many examples a run of automatic length may show at most, with so many pictures of the subject."""
        return min(max(self.showings * pictures, self.fewest_examples), self.most_examples)

    def check(self, config: GeneralConfig) -> None:
        """UserError for settings that contradict each other, or the rest; nothing is read from disk."""

    def ineffective(self) -> Iterable[tuple[str, str]]:
        """(key, why) of each of these settings that has no effect, because another one of them overrules it."""
        return ()

    def odd_with(self, family: "Family") -> Iterable[str]:
        """A sentence for each of these settings that goes badly with models of the family."""
        return ()


class Method:
    """One per run: made from the config and the borrowed model, before the first step.

    `Settings` is its section of the config, under the name that it registers. `title` is what the tab calls the method,
    `settings_title` the group of its fields (else "<title> settings"); `order` its place among the others.
    `kind` is the kind of its files (a key of `formats.kinds.KINDS`), `suffix` their ending.
    """

    name: str
    title: str
    settings_title = ""
    teaches_word = False  # a new one, which prompts say instead of a tag; its settings then have "token"
    uses_class_pictures = True
    order = 100
    Settings: type = MethodSettings
    kind: str
    cheap_to_detach = True  # whether leaving `attached` costs next to nothing, so that it can be done at every step
    goes_back = True  # whether `load_tensors` can bring back an earlier step's values at the end of a run
    fused_backward = False  # whether each tensor may be stepped as soon as its gradient is there, to save memory
    # functions (config, device) -> {path: value} of settings of its own that need less memory, {} where there are none
    cheaper: tuple[Callable[[GeneralConfig, torch.device], dict[str, Any]], ...] = ()
    suffix = ".safetensors"

    def __init__(self, config: GeneralConfig, model: LoadedModel) -> None:
        self.config, self.model = config, model
        self.make_room: Callable[[], None] = lambda: None  # frees what others hold where the model's own lack memory

    @classmethod
    def kinds(cls, config: GeneralConfig) -> list[ArtefactKind]:
        """The kind of every file that a run ends with, the main one first."""
        return [KINDS[cls.kind]]

    @classmethod
    def suited(cls, family: Family) -> dict[str, Any]:
        """Settings of its section that suit models of a family better than the general ones."""
        return {}

    @classmethod
    def check(cls, config: GeneralConfig, folder: FolderOf) -> None:
        """UserError for what can be told from the config and the host's files alone; `folder(kind)` is the host's."""

    @classmethod
    def check_model(cls, config: GeneralConfig, folder: FolderOf, spec: ModelSpec) -> None:
        """UserError where a file to go on from, or a size, does not fit the model."""

    @classmethod
    def prepare_data(cls, config: GeneralConfig, scan: Scan) -> None:
        """Change what the scan of the pictures lacks for this method, such as a concept's prompt template."""

    @classmethod
    def check_data(cls, config: GeneralConfig, scan: Scan) -> None:
        """After `prepare_data`: UserError where pictures and captions are no use, a warning where they may
        disappoint.
        """

    @classmethod
    def as_files_say(cls, config: GeneralConfig, folder: FolderOf) -> GeneralConfig:
        """The settings with the sizes that a file to go on from has, for arithmetic. UserError for such a file."""
        return config

    @classmethod
    def count_trainable(cls, config: GeneralConfig, spec: ModelSpec) -> int:
        """About how many float32 numbers learn beside the model."""
        return 0

    @classmethod
    def memory_bytes(cls, config: GeneralConfig, spec: ModelSpec) -> int:
        """What training keeps beside the model, without activations: the numbers, their gradients, the optimizer's."""
        return cls.count_trainable(config, spec) * (8 + optim.bytes_of(config.train.optimizer))

    def main_memory_bytes(self) -> int:
        """What it keeps in the computer's memory where the model is on a GPU."""
        return 0

    @classmethod
    def activations(cls, config: GeneralConfig) -> float:
        """What the UNet keeps for the backward pass in half precision without recomputing, as a multiple of
        `Family.activations`.
        """
        return 1.0

    @classmethod
    def weight_dtype(cls, config: GeneralConfig, spec: ModelSpec) -> torch.dtype:
        """The number format of the model's weights while it trains."""
        return spec.dtype

    @classmethod
    def written_weights(cls, config: GeneralConfig) -> torch.dtype | None:
        """The number format in which the model's own weights are written; None where they are not."""
        return None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """[{"name": "unet", "params": [...], "lr": Rate}, ...]: everything that learns, float32 unless said otherwise.

        Further keys are the optimizer's, such as "weight_decay".
        """
        raise NotImplementedError

    def trained_weights(self) -> list[TrainedWeight]:
        """`optim.master_weights.TrainedWeight` of every parameter of the groups, in their order."""
        return [TrainedWeight(p) for group in self.parameter_groups() for p in group["params"]]

    def half_copies(self, dtype: torch.dtype) -> HalfCopies | None:
        """Copies of everything that learns for a forward in `dtype`, in use from then on; None where it casts
        itself.
        """
        return None

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the model's weights while it trains."""
        return self.model.dtype

    def predicting_modules(self) -> list[torch.nn.Module]:
        """The modules of the model that take part in a prediction and do not learn themselves."""
        return [self.model.unet, *self.model.text_encoders]

    def networks(self) -> Iterable[Adapter]:
        """Those that it puts on layers."""
        return ()

    def constrain(self) -> None:
        """After every optimizer step: bring what learns back to where it is allowed to be."""

    def trains_text(self, step: int) -> bool:
        """Whether at this step gradients go through the text encoder; if not, its answers are cached."""
        raise NotImplementedError

    def changes_text(self) -> bool:
        """Whether captions ever encode differently from the bare model's, so that its cached answers are no use."""
        raise NotImplementedError

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The model with the add-on on it; on exit the bare model. Entered around training, samples and validation."""
        raise NotImplementedError
        yield

    @contextmanager
    def prepared(self, folder: Path) -> Iterator[None]:
        """Entered once, around everything that `attached` is entered for; `folder` is the run's."""
        yield

    def before_detach(self) -> None:
        """Before `attached` is left for a while: store what leaving would lose."""

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Entered inside `attached` while the host makes pictures."""
        yield

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Entered inside `attached` while the loss of held-out pictures is measured: as a saved file would have it."""
        yield

    def disk_bytes(self) -> dict[str, int]:
        """Bytes on disk: of one "state" without the optimizer, of one "file", and "once" for the time of the run."""
        count = sum(tensor.numel() for tensor in self.tensors().values())
        return {"state": count * 4, "file": count * 4, "once": 0}

    def tensors(self) -> dict[str, torch.Tensor]:
        """name -> tensor: all that a resume needs besides the optimizer."""
        raise NotImplementedError

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take over what `tensors` gave."""
        raise NotImplementedError

    def activation_text(self) -> str:
        """What a user types to get the trained thing, or ""."""
        folders = [self.model.folder("templates")] if self.model.folder else []
        return captions.trigger_words(self.config.concepts[0].prompt, self.config.word, folders)

    def tag(self, name: str) -> str:
        """What goes into the prompt to use the file of that name."""
        return KINDS[self.kind].prompt_tag(name)

    def export(self, path: Path, metadata: dict[str, str]) -> None:
        """Write the file at `path` (atomically, through `formats.files`), with `metadata` if the format has any."""
        raise NotImplementedError

    def file_digest(self) -> str:
        """A hash of what a file would hold now."""
        precision = PRECISIONS[self.config.save.precision]
        zero = torch.zeros((), dtype=precision)  # added, so that -0 and 0 are one value
        return digest({name: tensor.detach().to("cpu", precision) + zero for name, tensor in self.tensors().items()})

    def refuse_unchanged(self, start: str) -> None:
        """NothingLearned where a file would hold what it would have held at the start, `file_digest` then."""
        if self.file_digest() == start:
            what = f"The {KINDS[self.kind].noun}"
            raise NothingLearned(
                f"{what} learned nothing that its file could hold: in "
                f"{self.config.save.precision} it is as it was at the start. Raise the learning rate or the "
                'number of steps, or set "save.precision" to "float".'
            )

    def extra_artefacts(self, artefact: Artefact) -> list[Artefact]:
        """Write further files beside the final one; their `Artefact`s."""
        return []

    def metadata(self) -> dict[str, Any]:
        """ss_* metadata of this method, key -> anything printable; None leaves a key out."""
        return {}
