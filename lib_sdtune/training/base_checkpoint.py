"""The checkpoint that a run was begun on: noted when the run is queued, so that it and its resuming train that one.

Without this, "what is loaded" would be whatever is loaded when the run's turn comes.
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.formats import structure
from lib_sdtune.formats.files import write_json
from lib_sdtune.host.base import Host
from lib_sdtune.sections.model import Model

FILE = "checkpoint.json"
FOLDER = "checkpoints"


def note(folder: Path, config: Config, host: Host, begun_on: str = "") -> None:
    """Write into the run folder which file the run trains, where the host can tell and the settings do not.

    begun_on: the file of a run that is begun once more; "" is what is loaded.
    """
    path = None if config.model.checkpoint else Path(begun_on) if begun_on else host.loaded_file()
    if path is None:
        (folder / FILE).unlink(missing_ok=True)
    else:
        write_json(folder / FILE, {"file": below_root(path, host.roots(FOLDER))})


def settings(folder: Path, config: Config, host: Host) -> Model:
    """The model settings of a run with the file in them that it was begun on. UserError if that file is gone."""
    noted = noted_for(folder, config)
    if not noted:
        return config.model
    path = found(noted, host)
    if path is None:
        raise UserError(
            f"The run {config.name} was begun on {noted}, which is not there any more. Put that checkpoint back "
            "to go on, or start the run under another name."
        )
    return replace(config.model, checkpoint=str(path))


def noted_for(folder: Path, config: Config) -> str:
    """What was noted of a run whose settings name no checkpoint; "" where they name one, or nothing was noted."""
    return "" if config.model.checkpoint else read(folder / FILE)


def found(noted: str, host: Host) -> Path | None:
    """The file that was noted, wherever the host's folders are now; None where it is gone."""
    return next((path for root in host.roots(FOLDER) if (path := root / noted).is_file()), None)


def below_root(path: Path, roots: list[Path]) -> str:
    """The file's place in the host's folder, so that it is still right when the folder moves; else its whole path."""
    for root in roots:
        with suppress(ValueError):
            return path.relative_to(root).as_posix()
    return str(path)


def read(path: Path) -> str:
    """What was noted; "" where nothing was, or it is damaged."""
    noted = structure.read(path, {"file": str})
    return noted["file"] if noted else ""
