"""Pictures that a run has drawn while it holds the GPU's memory: where they find no room, that ends no training."""

import logging
from collections.abc import Callable, Iterator, Sequence

from PIL.Image import Image

from lib_sdtune.errors import RunError
from lib_sdtune.failures import out_of_memory
from lib_sdtune.host.base import Host, SampleRequest

log = logging.getLogger("sdtune")

LEFT_OUT = ("The GPU has no room for sample pictures beside the training; this time they are left out, and the "
            "training goes on. Smaller ones (sample.width, sample.height) take less, and so does a WebUI started "
            "with --medvram.")
NO_CLASS_PICTURES = ("The GPU has no room to draw class pictures of {} x {} pixels. Close what else uses it, start the "
                     "WebUI with --medvram, or put pictures of the class into their folder yourself.")


def samples(host: Host, requests: Sequence[SampleRequest], make_room: Callable[[], None]) -> Iterator[Image]:
    """`host.generate`. On a full GPU `make_room()` is called once, and what is missing is drawn then; what finds no
    room even so is left out, with a warning.
    """
    done, cramped = 0, False
    while True:
        try:
            for image in host.generate(requests[done:]):
                done += 1
                yield image
            return
        except Exception as error:
            if not out_of_memory(error):
                raise
        # here nothing holds the failed picture's tensors any more
        if cramped or not is_made(make_room):
            log.warning("%s", LEFT_OUT)
            return
        cramped = True


def is_made(make_room: Callable[[], None]) -> bool:
    """Whether there is more room now; not where the computer's own memory is full as well."""
    try:
        make_room()
    except Exception as error:
        if not out_of_memory(error):
            raise
        return False
    return True


def class_pictures(host: Host, requests: Sequence[SampleRequest]) -> Iterator[Image]:
    """`host.generate`. RunError on a full GPU: no setting of a training's steps changes what a picture takes."""
    try:
        yield from host.generate(requests)
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise RunError(NO_CLASS_PICTURES.format(requests[0].width, requests[0].height)) from error
