"""The WebUI's own interrogators, lent to write captions with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from modules import deepbooru, devices, shared
from PIL.Image import Image

from lib_sdtune.errors import RunError
from lib_sdtune.failures import out_of_memory
from lib_sdtune.host.webui import forks
from lib_sdtune.host.webui.lock import QueueLock

Interrogator = tuple[str, Callable[[], Any], Callable[[Image], str], Callable[[], Any]]
"""Its name, and the functions that load it, describe a picture and unload it."""

OPTIONS = {"threshold": "interrogate_deepbooru_score_threshold", "sort_alpha": "deepbooru_sort_alpha",
           "use_spaces": "deepbooru_use_spaces"}
LITERAL = {"deepbooru_escape": False, "interrogate_return_ranks": False}  # captions are no prompts: nothing but words


@contextmanager
def interrogator(name: str, options: Any, lock: QueueLock,
                 on_wait: Callable[[], None]) -> Iterator[Callable[[Image], str]]:
    """Give a function RGB image -> text; the queue lock is held for each picture alone: others can generate between.

    on_wait() is called while somebody else has the lock, and gives up by raising.
    """

    @contextmanager
    def turn() -> Iterator[None]:
        lock.acquire(on_wait)
        try:
            yield
        finally:
            lock.release()

    label, load, describe, unload = {"deepbooru": tagger, "blip": captioner}[name]()
    with settings_changed(options):
        with turn(), explaining(label):
            loaded(load, unload)
        try:
            yield lambda image: describe_in_turn(turn, describe, image)
        finally:
            unload()


def loaded(load: Callable[[], Any], unload: Callable[[], Any]) -> None:
    """Load an interrogator. One that found no room on the GPU does not stay there in part."""
    make_room()
    try:
        load()
    except BaseException:
        with suppress(Exception):  # there may be nothing to unload yet
            unload()
        raise


def make_room() -> None:
    """With --medvram a part of the model leaves the GPU, as before the WebUI's own Interrogate."""
    if getattr(forks.current().loaded(), "lowvram", False):
        from modules import lowvram

        lowvram.send_everything_to_cpu()
        devices.torch_gc()


def tagger() -> Interrogator:
    return "DeepBooru", deepbooru.model.start, deepbooru.model.tag_multi, deepbooru.model.stop


def captioner() -> Interrogator:
    return "BLIP", shared.interrogator.load, shared.interrogator.generate_caption, shared.interrogator.unload


def describe_in_turn(turn: Callable, describe: Callable[[Image], str], image: Image) -> str:
    with turn():
        make_room()
        return describe(image)


@contextmanager
def settings_changed(options: Any) -> Iterator[None]:
    """The WebUI's own settings as the user's options say, for as long as it lasts."""
    settings = {OPTIONS[key]: value for key, value in vars(options).items()} | LITERAL
    before = {key: shared.opts.data[key] for key in settings if key in shared.opts.data}
    shared.opts.data.update(settings)
    try:
        yield
    finally:
        for key in settings:
            shared.opts.data.pop(key, None)
        shared.opts.data.update(before)


@contextmanager
def explaining(label: str) -> Iterator[None]:
    """What went wrong while the WebUI fetched or loaded its interrogator, in a sentence."""
    try:
        yield
    except Exception as error:
        if out_of_memory(error):
            raise
        why = " ".join(str(error).split())[:200]
        raise RunError(f"{label} could not be loaded by the WebUI ({type(error).__name__}: {why}); "
                       "try Interrogate in its img2img tab, which needs the same files.") from error
