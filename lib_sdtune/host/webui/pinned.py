"""The checkpoint stays the run's while a run is on.

Changing it (or the VAE, the attention, the FP8 storage) in the settings is not done then but noted, the drop-down falls
back at once, and the change is made when the model is free. A picture that asks for another checkpoint (an override, a
refiner, X/Y/Z plot) is refused with a sentence. So neither does the page hang on the lock for the hours that a training
takes, nor can the model be swapped under it.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from modules import shared
from torch import nn

from lib_sdtune.errors import RunError, UserError
from lib_sdtune.host.webui import checkpoint_list, forks
from lib_sdtune.host.webui.deferred import Change, DeferredSettings
from lib_sdtune.swap import replaced


class SettingDeferred(RuntimeError):
    """By this an option falls back; the WebUI prints it in a line, because it was no fault that has a place."""

    __traceback__ = None


def chosen(checkpoint: str) -> Any | None:
    """The WebUI's entry for a checkpoint by name, title, hash or file; None for "" (the one that is loaded).

    UserError if unknown.
    """
    if not checkpoint:
        return None
    entry = checkpoint_list.of_file(checkpoint) or checkpoint_list.of_name(checkpoint)
    if entry is None:
        raise UserError(f'"model.checkpoint" is {checkpoint!r}, which the WebUI does not know; put the file into its '
                        "Stable-diffusion folder, or leave the setting empty to train what is loaded.")
    return entry


@contextmanager
def loaded(checkpoint: str) -> Iterator[nn.Module]:
    """The WebUI's model with that checkpoint in it, as by its drop-down; the one before is back afterwards."""
    with forks.current().holding(chosen(checkpoint)) as sd_model:
        if sd_model is None:
            raise RunError("The WebUI has no checkpoint loaded; choose one in its drop-down, then start again.")
        yield sd_model


@contextmanager
def pinned(sd_model: nn.Module, deferred: DeferredSettings) -> Iterator[None]:
    """Nothing swaps `sd_model` inside; what was asked meanwhile is in `deferred`."""
    fork, name = forks.current(), sd_model.sd_checkpoint_info.name_for_extra
    sentence = f"SD Tune is using {name}; let it finish, or stop it, to use another checkpoint."
    with ExitStack() as stack:
        stack.enter_context(replaced(deferred, "runs", deferred.runs + 1))
        stack.enter_context(fork.pinned(sd_model, sentence))
        for key in fork.options:
            option = shared.opts.data_labels.get(key)
            if option is not None:
                stack.enter_context(replaced(option, "onchange", defer(key, deferred, sentence)))
        yield


def defer(key: str, deferred: DeferredSettings, sentence: str) -> Callable[[], None]:
    def onchange() -> None:
        deferred.changes[key] = Change(shared.opts.data[key])
        raise SettingDeferred(f"{sentence} The change is noted and made when the model is free.")

    return onchange
