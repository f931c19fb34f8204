"""A run from its beginning to its end, as its state and its message say it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from lib_sdtune.errors import RunError, UserError
from lib_sdtune.failures import sentence
from lib_sdtune.training.control import Control, Stopped
from lib_sdtune.training.run_log import recorded
from lib_sdtune.training.run_warnings import noted

log = logging.getLogger("sdtune")


@contextmanager
def running(control: Control) -> Iterator[None]:
    """Keep the state true from the first moment to the last, whatever happens inside."""
    try:
        with recorded(control.folder), noted(control):
            control.time.begin()
            with ending_told(control):
                yield
    finally:
        control.close()


@contextmanager
def ending_told(control: Control) -> Iterator[None]:
    """The run's state is true from its beginning to its end, whatever happens inside. Who asks it to stop when all of
    it is done, and its file written, comes too late.
    """
    try:
        control.set_state("preparing")
        yield
        stopped = control.stop_requested() and not control.is_complete()
        control.set_state("stopped" if stopped else "finished", control.message)
    except Stopped:
        control.set_state("stopped", "Stopped before the first step.")
    except KeyboardInterrupt:
        if not control.is_complete():
            control.set_state("stopped", "Interrupted; resuming goes on from the last saved state.")
            raise
        control.set_state("finished", f"The training is finished, and {control.final_file} is written. It was "
                                      "interrupted while the rest was: the card, the preview or further files may be "
                                      "missing.")
    except BaseException as error:
        log.debug("run failed", exc_info=True)
        control.set_state("failed", sentence(error))
        if isinstance(error, UserError) and control.seconds:  # found too late to be refused: steps were done
            raise RunError(control.message) from error
        if isinstance(error, UserError | RunError) or not isinstance(error, Exception):
            raise
        raise RunError(control.message) from error
