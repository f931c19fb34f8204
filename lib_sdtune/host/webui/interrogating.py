"""The WebUI's own interrogators, lent to write captions with."""

from contextlib import contextmanager

from modules import deepbooru, shared

from lib_sdtune.errors import RunError

OPTIONS = {"threshold": "interrogate_deepbooru_score_threshold", "sort_alpha": "deepbooru_sort_alpha",
           "use_spaces": "deepbooru_use_spaces"}
LITERAL = {"deepbooru_escape": False, "interrogate_return_ranks": False}  # captions are no prompts: nothing but words


@contextmanager
def interrogator(name, options, lock, patience):
    """Give a function RGB image -> text; the queue lock is held for each picture alone, so that others can generate between.

    patience() is called while somebody else has the lock, and gives up by raising.
    """

    @contextmanager
    def turn():
        lock.acquire(patience)
        try:
            yield
        finally:
            lock.release()

    label, load, ask, unload = {"deepbooru": tagger, "blip": teller}[name]()
    with chosen(options):
        with turn(), explained(label):
            load()
        try:
            yield lambda image: asked(turn, ask, image)
        finally:
            unload()


def tagger():
    return "DeepBooru", deepbooru.model.start, deepbooru.model.tag_multi, deepbooru.model.stop


def teller():
    return "BLIP", shared.interrogator.load, shared.interrogator.generate_caption, shared.interrogator.unload


def asked(turn, ask, image):
    with turn():
        return ask(image)


@contextmanager
def chosen(options):
    """The WebUI's settings as the user wants them for now."""
    wanted = {OPTIONS[key]: value for key, value in vars(options).items()} | LITERAL
    before = {key: shared.opts.data[key] for key in wanted if key in shared.opts.data}
    shared.opts.data.update(wanted)
    try:
        yield
    finally:
        for key in wanted:
            shared.opts.data.pop(key, None)
        shared.opts.data.update(before)


@contextmanager
def explained(label):
    """What went wrong while the WebUI fetched or loaded its interrogator, in a sentence."""
    try:
        yield
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise RunError(f"{label} could not be loaded by the WebUI ({type(error).__name__}: {why}); "
                       "try Interrogate in its img2img tab, which needs the same files.") from error
