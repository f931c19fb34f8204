"""The interface to the program whose model is trained: `Host`, the `LoadedModel` that it lends, and the
`SampleRequest`s that it draws.

The WebUI is one host (`host/webui`), our own modules the other (`host/embedded`); nothing above this file knows which.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from lib_sdtune.artefacts.checkpoint import plain
from lib_sdtune.diffusion import zero_terminal_snr
from lib_sdtune.families.base import Family
from lib_sdtune.families.variant import Variant
from lib_sdtune.ldm.header import Header
from lib_sdtune.ldm.towers import Tower

if TYPE_CHECKING:  # nothing here needs pictures
    from PIL.Image import Image


Detached = Callable[[], AbstractContextManager[None]]
"""A run's `attachment.detached`: inside, the model is without what the training has put on it."""


@dataclass
class LoadedModel:
    """The host's own modules, lent for a run; nothing here is a copy.

    unet: called as `unet(x, timesteps, context=..., y=...)`, x (B, 4, h, w), timesteps (B,) in 0..999, context (B,
    77n, D). vae: has `encoder`, `quant_conv`, `post_quant_conv`, `decoder` under the checkpoint's names.
    text_encoders: modules under the checkpoint's names, CLIP's or OpenCLIP's; `towers` says how they are read.
    tokenizer: `tokenizer(text) -> list[int]` without start, end and padding, plus `.start`, `.end`, `.pad` ids.
    alphas_cumprod: (1000,) float32, the schedule of the family; `schedule` is the variant's own.
    variant: what the model predicts and at which size, as its file or the settings say.
    embeddings: name -> (n, D) tensor of the textual-inversion embeddings that captions may name, D the widths of all
    towers together. grey_latents: (height, width) in pixels -> latents of an even grey, which inpainting models are
    told instead of a picture. offloaded: parts that are lent in main memory, and go to `device` only for a while.
    folder: the host's `folder(kind) -> Path`, for methods that go on from a file. path: the checkpoint's own file.
    hash: the first ten digits of `sha256`, that of the file, which may be "" where nobody has counted it.
    vae_name: which file the VAE is of, for a person to read; "" where the host cannot tell.
    """

    family: Family
    unet: nn.Module
    vae: nn.Module
    text_encoders: list[nn.Module]
    tokenizer: Any
    alphas_cumprod: torch.Tensor
    name: str
    hash: str
    variant: Variant = field(default_factory=Variant)
    embeddings: dict[str, torch.Tensor] = field(default_factory=dict)
    folder: Any = None
    path: Path | None = None
    sha256: str = ""
    vae_name: str = ""
    grey_latents: dict[tuple[int, int], torch.Tensor] = field(default_factory=dict)
    offloaded: list[nn.Module] = field(default_factory=list)

    @property
    def prediction_type(self) -> str:
        return self.variant.prediction_type

    @property
    def resolution(self) -> int:
        return self.variant.resolution

    @property
    def schedule(self) -> torch.Tensor:
        """(1000,) float32: how much signal is left at each timestep of this variant."""
        return zero_terminal_snr(self.alphas_cumprod) if self.variant.zero_terminal_snr else self.alphas_cumprod

    @property
    def towers(self) -> list[Tower]:
        """The text encoders as the family reads them."""
        return self.family.towers(self.text_encoders)

    @property
    def device(self) -> torch.device:
        return next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.unet.parameters()).dtype

    def spec(self) -> "ModelSpec":
        """What it is made of, for arithmetic."""
        shapes = {part: {plain(name): tuple(tensor.shape) for name, tensor in module.named_parameters()}
                  for part, module in self.modules()}
        return ModelSpec(shapes, self.dtype, self.device, self.variant, self.family)

    def modules(self) -> Iterator[tuple[str, nn.Module]]:
        """(name, module) of every part that a run could touch."""
        yield "unet", self.unet
        yield "vae", self.vae
        yield from ((f"text_encoder_{i + 1}", tower) for i, tower in enumerate(self.text_encoders))


@dataclass(frozen=True)
class ModelSpec:
    """What a model is made of, for arithmetic: shapes is part -> {name of a tensor: its shape}, as the host would lend
    it.
    """

    shapes: dict[str, dict[str, tuple[int, ...]]]
    dtype: torch.dtype
    device: torch.device
    variant: Variant = field(default_factory=Variant)
    family: Family = field(default_factory=Family)

    def count(self, part: str) -> int:
        """Numbers in a part."""
        return sum(math.prod(shape) for shape in self.shapes[part].values())


class FinishedFile(Protocol):
    """What a host has to know of a file that a run has written (`methods.base.Artefact` is one)."""

    path: Path
    kind: str  # what `Host.folder` calls its folder
    metadata: dict[str, str]


@dataclass
class SampleRequest:
    """One picture asked of the host's sampler. Sizes in pixels; `prompt` in the WebUI's syntax."""

    prompt: str
    negative_prompt: str = ""
    steps: int = 20
    cfg_scale: float = 7.0
    seed: int = 1
    width: int = 512
    height: int = 512
    sampler: str = ""


_on_wait: ContextVar[Callable[[], None]] = ContextVar("on_wait", default=lambda: None)


class Host:
    """Lends a model and takes it back unharmed. Subclasses fill in every method."""

    def on_wait(self) -> None:
        """Called again and again while the model is not free yet; may raise to give up waiting."""
        _on_wait.get()()

    @contextmanager
    def waiting_with(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """Inside, `on_wait` is what is called where this thread waits; others that wait meanwhile have their own."""
        token = _on_wait.set(on_wait)
        try:
            yield
        finally:
            _on_wait.reset(token)

    def defaults(self, model_settings: Any) -> dict[str, Any]:
        """Settings that suit the model better than the general ones: a nested dict laid under the user's config."""
        return {}

    def check(self, model_settings: Any) -> None:
        """UserError for a model that cannot be had, before a run is queued."""

    def why_unusable(self, kind: str) -> str:
        """Why files of that kind (see `folder`) would change nothing in this host's pictures, in a sentence; "" where
        they do.
        """
        return ""

    def header(self, model_settings: Any) -> Header | None:
        """The `ldm.header.Header` of the checkpoint that a run would train; None where it is unknown."""
        return None

    def about(self, model_settings: Any = None) -> dict[str, str]:
        """What a user would see trained: {"model": name, "title": as the host lists it, "family": "SD1"}, of the
        checkpoint that the settings name or else of the loaded one; {} where unknown. "problem" says why it cannot be
        trained, if so.
        """
        return {}

    def loaded_file(self) -> Path | None:
        """The file of the checkpoint that is trained where the settings name none; None if it is always the same
        one.
        """
        return None

    def model_spec(self, model_settings: Any) -> ModelSpec | None:
        """The `ModelSpec` of the model that a run would train, without loading it; None where unknown."""
        return None

    def deferred_settings(self) -> list[dict[str, Any]]:
        """Settings of the host that were changed while the model was lent, with what became of it: {"setting", "label",
        "value", "checkpoint" where that is loaded with it, "asked" in seconds, "state": waiting, done, failed}.
        """
        return []

    def drop_deferred_setting(self, name: str) -> None:
        """Such a change is not made, or its report was read."""

    @contextmanager
    def borrow(self, model_settings: Any, idle: Collection[str] = ()) -> Iterator[LoadedModel]:
        """Lend a `LoadedModel` exclusively; on exit everything is as before, bit for bit, also after an exception.

        idle: what the names of parts begin with (see `LoadedModel.modules`) that no step asks for. A host that keeps
        its parts in main memory may lend these there, and says so in `offloaded`.
        """
        raise NotImplementedError
        yield

    def generate(self, requests: Sequence[SampleRequest]) -> Iterator["Image"]:
        """Yield one PIL image per `SampleRequest`, made by the host's own sampler from the model as it is now.

        May be called while the model is borrowed: what is attached to it at that moment shows in the picture. Each
        image carries its infotext in `.info["parameters"]`.
        """
        raise NotImplementedError

    def check_request(self, request: SampleRequest) -> None:
        """UserError for a picture that cannot be made, as far as can be told before the model is borrowed."""

    def unknown_tags(self, prompt: str) -> list[str]:
        """The tags of a prompt, such as "<lora:style>", that the host would pass over in a picture, because it has no
        such file; none where `check_request` refuses them.
        """
        return []

    def yield_to_queue(self, detached: Detached, waiting: Callable[[str], None] = lambda purpose: None) -> None:
        """Between two steps: let somebody who waits for the model use it, inside `with detached():`.

        `waiting("a generation")` is told while the model is away, `waiting("")` when it is back.
        """

    def pause(self, detached: Detached, paused: Callable[[], bool]) -> None:
        """Give the model back, inside `with detached():`, until `paused()` says False; it sleeps a little at each
        call.
        """
        with detached():
            while paused():
                pass

    def is_wanted(self) -> bool:
        """Whether somebody waits for the model now, such as a generation."""
        return False

    def free_memory(self) -> None:
        """After a run, also one that ran out of memory: give back what it no longer holds."""

    def folder(self, kind: str) -> Path:
        """Where files of that kind go: "lora", "embeddings", "hypernetworks", "checkpoints", "templates" (prompts),
        "taggers" (that describe pictures), "sdtune" (ours).
        """
        raise NotImplementedError

    def roots(self, kind: str) -> list[Path]:
        """The folders in and below which the host reads files of that kind; `folder` is in one of them."""
        return [self.folder(kind)]

    def tokenizer(self) -> Callable[[str], list[int]] | None:
        """A function text -> token ids of the model that is there now, for counting; None where asking would mean
        loading one.
        """

    def image_encoder(self) -> Any | None:
        """An encoder for comparing pictures (see `evaluation.encoders`) that knows more than the model itself, or
        None.
        """

    def publish(self, artefact: FinishedFile) -> None:
        """Make a finished file selectable in the next prompt: refresh the host's lists."""
