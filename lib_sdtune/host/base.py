"""The interface to the program whose model is trained: `Host`, which lends a `LoadedModel`, and the `SampleRequest`s
that it draws.

The WebUI is one host (`host/webui`), our own modules the other (`host/embedded`); nothing above this file knows which.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lib_sdtune.ldm.header import Header
from lib_sdtune.loaded_model import LoadedModel, ModelSpec

if TYPE_CHECKING:  # nothing here needs pictures
    from PIL.Image import Image


Detached = Callable[[], AbstractContextManager[None]]
"""A run's `attachment.detached`: inside, the model is without what the training has put on it."""


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
        image carries its infotext in `.info["parameters"]`. The pictures end early where they are cancelled, see
        `host.watcher`.
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
