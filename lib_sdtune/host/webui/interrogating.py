"""The WebUI's own interrogators, lent to write captions with."""

from contextlib import contextmanager

from modules import deepbooru, shared

from lib_sdtune.errors import RunError

OPTIONS = {"threshold": "interrogate_deepbooru_score_threshold", "sort_alpha": "deepbooru_sort_alpha", "use_spaces": "deepbooru_use_spaces",
           "escape": "deepbooru_escape"}


@contextmanager
def interrogator(name, options, lock):
    """Give a function RGB image -> text; the queue lock is held for each picture alone, so that others can generate between."""
    ready = {"deepbooru": tagger, "blip": teller}[name]
    with chosen(options), ready(lock) as ask:
        yield ask


@contextmanager
def chosen(options):
    """The WebUI's settings as the user wants them for now."""
    wanted = {OPTIONS[key]: value for key, value in vars(options).items()} | {"interrogate_return_ranks": False}
    before = {key: shared.opts.data[key] for key in wanted if key in shared.opts.data}
    shared.opts.data.update(wanted)
    try:
        yield
    finally:
        for key in wanted:
            shared.opts.data.pop(key, None)
        shared.opts.data.update(before)


@contextmanager
def tagger(lock):
    with held(lock), explained("DeepBooru"):
        deepbooru.model.start()
    try:
        yield locked(lock, lambda image: deepbooru.model.tag_multi(image))
    finally:
        deepbooru.model.stop()


@contextmanager
def teller(lock):
    with held(lock), explained("BLIP"):
        shared.interrogator.load()
    try:
        yield locked(lock, lambda image: shared.interrogator.generate_caption(image))
    finally:
        shared.interrogator.unload()


def locked(lock, function):
    def ask(image):
        with held(lock):
            return function(image)

    return ask


@contextmanager
def held(lock):
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def explained(label):
    """What went wrong while the WebUI fetched or loaded its interrogator, in a sentence."""
    try:
        yield
    except Exception as error:
        raise RunError(f"{label} could not be loaded by the WebUI ({type(error).__name__}: {error}); "
                       "try Interrogate in its img2img tab, which needs the same files.") from error
