"""The model that a comparison is drawn with, and its name: what the files were trained on, not whatever is loaded."""

from dataclasses import replace
from typing import TYPE_CHECKING

from lib_sdtune.errors import UserError
from lib_sdtune.ldm.checkpoint import header
from lib_sdtune.sections.model import Model
from lib_sdtune.training import base_checkpoint

if TYPE_CHECKING:
    from lib_sdtune.evaluation.any_files import AnyFiles
    from lib_sdtune.evaluation.candidates import Candidate
    from lib_sdtune.host.base import Host
    from lib_sdtune.training.runs import RunFolder


def trained_on(candidate: "Candidate", run: "RunFolder | AnyFiles", host: "Host") -> Model:
    """The `config.Model` that draws beside the files of a run: the one that it was begun on. What is loaded draws files
    of no run, and those of a run that nobody has noted it of.

    UserError where that checkpoint is gone: on another one the files look and rank otherwise.
    """
    config = run.config()
    settings = config.model if config else Model()
    noted = base_checkpoint.noted_for(run.path, config) if config else ""
    if noted:
        path = base_checkpoint.found(noted, host)
        if path is None:
            raise UserError(f"The files of {run.path.name} were trained on {noted}, which is not there any more, "
                            f"and {name(Model(), host)} is loaded. Put that checkpoint back to compare them.")
        return replace(settings, checkpoint=str(path))
    if settings.checkpoint or candidate.kind != "checkpoints" or candidate.path.suffix != ".safetensors":
        return settings
    source = replace(settings, checkpoint=header(candidate.path)[1].get("ss_sd_model_name", ""))
    try:
        host.check(source)
    except UserError:
        return settings
    return source


def name(model: Model, host: "Host") -> str:
    """What the host calls that model, for a person to read."""
    return host.about(model).get("model") or model.checkpoint or "the loaded model"
