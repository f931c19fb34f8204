"""Files that need not be of one run, of whatever past: named by kind and name, compared in a folder of their own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib_sdtune.access import Access
from lib_sdtune.declaration import describe
from lib_sdtune.errors import UserError
from lib_sdtune.formats import structure
from lib_sdtune.formats.files import write_json
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.formats.lookup import by_name
from lib_sdtune.formats.names import check_name
from lib_sdtune.host.base import Host

KEYS = ("kind", "of", "pictures")
FILE = "files.json"
REMEMBERED = {"files": [str], "pictures": str}


class AnyFiles:
    """Like a `RunFolder` without settings and curves.

    files: their paths. pictures: a folder of what they shall show, for the ranking; without it they are drawn and not
    ranked.
    """

    def __init__(self, host: Host, name: str, files: list[Path], pictures: str = "") -> None:
        self.path, self.files, self.pictures = home(host) / check_name(name), files, pictures

    def config(self) -> None:
        return None

    def log(self) -> list[dict[str, Any]]:
        return []


def home(host: Host) -> Path:
    return host.folder("sdtune") / "choices"


def read(host: Host, name: str, data: Mapping[str, Any], access: Access) -> AnyFiles:
    """An `AnyFiles` from {"kind", "of", "pictures"}.

    UserError for files that are not there and folders that may not be named.
    """
    kind, names, pictures = data.get("kind", "lora"), data.get("of"), data.get("pictures") or ""
    if not isinstance(kind, str) or kind not in KINDS:
        raise UserError(f'"kind" is {describe(kind)}; it can be {", ".join(KINDS)}.')
    if reason := host.why_unusable(kind):
        raise UserError(reason)
    if names == []:
        raise UserError("No file is chosen; choose one or more to compare.")
    if not isinstance(names, list) or not names or not all(isinstance(file, str) for file in names):
        raise UserError('"of" must be a list of the names of one or more files.')
    files = [KINDS[kind].find(host.folder(kind), file) for file in dict.fromkeys(names)]
    return AnyFiles(host, name, files, str(access.folder(pictures, "pictures")) if pictures else "")


def remember(chosen: AnyFiles) -> None:
    """What was compared, for looking at it later."""
    write_json(chosen.path / FILE, {"files": list(map(str, chosen.files)), "pictures": chosen.pictures})


def opened(host: Host, name: str) -> AnyFiles | None:
    """What `remember` wrote, as an `AnyFiles`; None where there is nothing of that name."""
    try:
        remembered = structure.read(home(host) / check_name(name) / FILE, REMEMBERED)
    except UserError:
        return None
    if remembered is None:
        return None
    files = [home(host) / file for file in remembered["files"]]
    return AnyFiles(host, name, files, remembered["pictures"])


def everything(host: Host) -> dict[str, Any]:
    """{"kinds": {kind: [names of the host's files]}, "choices": [names of what was compared, the latest first]}."""
    kinds = {name: sorted(by_name(host.folder(name), kind.endings), key=str.lower)
             for name, kind in KINDS.items() if not host.why_unusable(name)}
    remembered = sorted(home(host).glob(f"*/{FILE}"), key=lambda path: -path.stat().st_mtime)
    return {"kinds": kinds, "choices": [path.parent.name for path in remembered]}
