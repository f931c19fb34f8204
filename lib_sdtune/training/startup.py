"""Class pictures and everything else before the first step, retried when a full disk has room again."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext

from lib_sdtune.errors import DiskFull
from lib_sdtune.failures import sentence
from lib_sdtune.formats.files import is_full
from lib_sdtune.host.base import Host
from lib_sdtune.training import class_pictures
from lib_sdtune.training.control import Control
from lib_sdtune.training.disk_space import SPARE, has_room
from lib_sdtune.training.trainer import Trainer

FULL_TOGETHER = ("The disk is full before the first step, and processes that train together cannot wait for room. Make "
                 "room, and start the run again: nothing was learned yet.")


@contextmanager
def prepared(trainer: Trainer, host: Host, control: Control) -> Iterator[None]:
    """The trainer is entered, with its class pictures drawn. On a full disk the run is paused meanwhile, and the model
    is its owner's.
    """
    if trainer.method.uses_class_pictures:
        folders = class_pictures.folders(trainer.config)
        once_there_is_room(lambda: draw_class_pictures(trainer, host, control),
                           lambda: all(has_room(folder, SPARE) for folder in folders), host, control)
    with ExitStack() as stack:
        once_there_is_room(lambda: stack.enter_context(trainer), trainer.has_room, host, control)
        yield


def draw_class_pictures(trainer: Trainer, host: Host, control: Control) -> None:
    with trainer.base_loras:
        class_pictures.complete(trainer.config, host, control)


def once_there_is_room(
    prepare: Callable[[], object], has_room: Callable[[], bool], host: Host, control: Control
) -> None:
    """Call `prepare()`, which leaves the model bare where it fails, and again when the full disk has room.

    Among several processes it is called once, and DiskFull says why: they could not wait for each other.
    """
    while True:
        try:
            prepare()
            return
        except (DiskFull, OSError) as error:
            if not is_full(error):
                raise
            if control.world.size > 1:
                raise DiskFull(FULL_TOGETHER) from error
            control.pause_until(sentence(error), has_room)
        host.pause(nullcontext, control.stay_paused)
        control.set_state("preparing")
        control.preparing(0, 0, "preparing")  # which raises where somebody asked to stop
