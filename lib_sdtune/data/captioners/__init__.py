"""Programs that describe pictures. A file here is an entry: a class with `describe(image) -> str`, made with the host.

The host brings the models, or says in which folder they lie; BLIP and DeepBooru are the WebUI's own, and the command
line has neither.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib_sdtune.data import quality_words, tags
from lib_sdtune.declaration import build
from lib_sdtune.errors import UserError
from lib_sdtune.registry import Registry

if TYPE_CHECKING:
    from PIL.Image import Image

    from lib_sdtune.data.caption_editing import Captions

registry = Registry("lib_sdtune.data.captioners", "captioner")
EXISTING = ("keep", "replace", "prepend", "append")


class Captioner:
    """Made once per use and entered as a context manager, so that models can be loaded and put back.

    `Options` is a declared section (see `declaration`); `self.options` is what the user chose.
    """

    name: str  # as it is registered
    label = ""
    on_wait = staticmethod(lambda: None)  # called while it waits for the host; may raise to stop

    @dataclass
    class Options:
        """No options."""

    def __init__(self, host: Any, **options: Any) -> None:
        self.host, self.options = host, build(self.Options, options, self.name)

    def refuse(self) -> None:
        """UserError where it can't work, before anything begins."""

    def __enter__(self) -> "Captioner":
        return self

    def __exit__(self, *error: Any) -> Any:
        pass

    def describe(self, image: "Image") -> str:
        """A caption for an RGB image."""
        raise NotImplementedError


class Hosted(Captioner):
    """A captioner whose model belongs to the host.

    `host.interrogator(name, options, on_wait)` is a context manager for image -> text.
    """

    def refuse(self) -> None:
        if getattr(self.host, "interrogator", None) is None:
            raise UserError(f"{self.label} is a part of the WebUI; open the SD Tune tab there to write captions with "
                            "it, or put captions into .txt files beside the pictures.")

    def __enter__(self) -> "Captioner":
        self.refuse()
        self.model = self.host.interrogator(self.name, self.options, self.on_wait)
        self.ask = self.model.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self.model.__exit__(*error)

    def describe(self, image: "Image") -> str:
        return self.ask(image)


def combine(old: str, new: str, existing: str) -> str:
    """What becomes of a picture's caption when a new one was found. existing: one of `EXISTING`.

    Quality words in front of the old one stay in front; a tag that stands there already is not written again.
    """
    quality = tags.join(quality_words.leading(old))
    if not old or existing == "replace":
        return tags.lead(new, quality)
    if existing == "keep":
        return old
    return tags.lead(tags.add(old, new, front=existing == "prepend"), quality)


def describe_all(captions: "Captions", captioner: Captioner, names: Iterable[str] | None = None, existing: str = "keep",
                 progress: Callable[[int, int, str], None] | None = None) -> int:
    """Describe pictures of an `editing.Captions`, as one step that can be undone; the number of captions that changed.

    progress(done, total, text) may raise to stop: what was described until then is taken over first.
    """
    from lib_sdtune.data.picture import Unreadable, load
    from lib_sdtune.data.prompt_syntax import plain

    if existing not in EXISTING:
        raise UserError(f"Existing captions can be treated as: {', '.join(EXISTING)}; not {existing!r}.")
    progress = progress or (lambda done, total, text: None)
    names = [name for name in (captions.entries if names is None else names)
             if (existing != "keep" or not captions[name]) and not captions.entries[name].is_cut]
    described = {}
    try:
        for done, name in enumerate(names):
            progress(done, len(names), "describing pictures")
            try:
                image, _ = load(captions.entries[name].picture)
            except Unreadable:
                continue  # named by the scan already
            described[name] = combine(captions[name], plain(captioner.describe(image)), existing)
        progress(len(names), len(names), "describing pictures")
    finally:
        changed = captions.update(described)
    return changed
