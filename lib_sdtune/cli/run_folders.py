"""The embedded host and the folders of its runs, for verbs that look at what was trained."""

from pathlib import Path
from typing import TYPE_CHECKING

from lib_sdtune.errors import UserError

if TYPE_CHECKING:
    from lib_sdtune.host.embedded import EmbeddedHost
    from lib_sdtune.training.runs import RunFolder


def embedded_host(data_dir: str, checkpoint: str = "") -> "EmbeddedHost":
    from lib_sdtune.host.embedded import EmbeddedHost

    return EmbeddedHost(Path(data_dir), checkpoint or None)


def open_run(host: "EmbeddedHost", name: str) -> "RunFolder":
    """The folder of the run of that name. UserError when there is none."""
    from lib_sdtune.formats.names import check_name
    from lib_sdtune.training import replaced_run
    from lib_sdtune.training.runs import RunFolder, folder_of

    path = folder_of(host, check_name(name))
    replaced_run.recover(path)
    if not (path / "config.json").is_file():
        names = sorted(file.parent.name for file in path.parent.glob("*/config.json"))
        raise UserError(f"There is no run called {name!r} in {path.parent}; there are: {', '.join(names) or 'none'}.")
    return RunFolder(path)
