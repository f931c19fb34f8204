"""Errors that say which extension is at fault."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from lib_sdtune.errors import RunError, UserError
from lib_sdtune.failures import is_gpu_lost, out_of_memory
from lib_sdtune.host.webui import structure
from lib_sdtune.host.webui.extensions import ownership
from lib_sdtune.host.webui.neutral import hypernetworks


@contextmanager
def extension_named() -> Iterator[None]:
    """An error that was raised in another extension's code names that extension; a lack of memory is nobody's fault."""
    try:
        yield
    except (UserError, RunError):
        raise
    except Exception as error:
        if out_of_memory(error) or is_gpu_lost(error) or not (owner := ownership.failing_in(error)):
            raise
        raise RunError(f"{owner[0].upper()}{owner[1:]} failed while SD Tune had the model ({type(error).__name__}: "
                       f"{error}); switch it off, then resume.") from error


@contextmanager
def unchanged(sd_model: nn.Module) -> Iterator[None]:
    """RunError that names the module if a picture leaves the model's structure changed, but for hypernetworks."""
    with hypernetworks.off(sd_model):
        before = structure.Structure(sd_model)
    yield
    with hypernetworks.off(sd_model):
        changed = before.first_difference()
    if changed:
        path, what = changed
        raise RunError(f"While a picture was drawn, {what} of {path} was changed by another extension, so the run was "
                       "stopped; switch that extension off, then resume.")
