"""What has a new run's name already, on whatever disk: an earlier run, or one that differs in capitals alone, and files
of the host's.
"""

import logging
from pathlib import Path
from unicodedata import normalize

from lib_sdtune.artefacts import artefact_files
from lib_sdtune.config import Config
from lib_sdtune.errors import NameTaken
from lib_sdtune.formats.kinds import ArtefactKind
from lib_sdtune.formats.names import folded, same_name
from lib_sdtune.host.base import Host
from lib_sdtune.methods import registry as methods
from lib_sdtune.training import replaced_run, state

log = logging.getLogger("sdtune")


def check_not_published(config: Config, folder: Path) -> None:
    if (folder / "published.json").exists():
        raise NameTaken(f"A file of the run {config.name} is published, and training on would mix it with new ones. "
                        "Take that back first, or choose another name.")


def check_new(config: Config, host: Host, folder: Path, restart: bool = False) -> None:
    """NameTaken where a run's name is that of files, or of an earlier run whose results would go, unless overwriting
    them is allowed.

    restart: the run is the one in the folder, begun once more.
    """
    kinds = methods[config.method].kinds(config)
    check_other_spelling(config.name, folder)
    final = any(same_name(path.stem, config.name) for kind in kinds
                for path in artefact_files.of_run(host.roots(kind.folder), kind, config.name))
    if not final and not config.overwrite:
        refuse_earlier_run(config, folder, restart)
    for kind in kinds:
        check_files(config, host, kind)


def refuse_earlier_run(config: Config, folder: Path, restart: bool) -> None:
    """NameTaken where an earlier run can be resumed, also one that has saved files on its way, or has left what a new
    one would not make again.
    """
    if state.newest(folder) or state.newest(folder / replaced_run.FOLDER):
        raise NameTaken(
            f"A run called {config.name} is in {folder} and can be resumed. Resume it, choose another name, "
            'or switch "overwrite" on.'
        )
    left = [path / name for path in (folder, folder / replaced_run.FOLDER) for name in replaced_run.worth_keeping(path)]
    if left and not restart:
        raise NameTaken(
            f"{left[0]} exists already; it is of an earlier run called {config.name}. Choose another name, or switch "
            '"overwrite" on.'
        )


def check_other_spelling(name: str, folder: Path) -> None:
    """NameTaken for a run whose name has other capitals: on many disks the two would share a folder."""
    runs = folder.parent.iterdir() if folder.parent.is_dir() else ()
    other = next((run.name for run in runs if same_name(run.name, name) and not same_letters(run.name, name)), None)
    if other:
        raise NameTaken(f"There is a run called {other}, and many disks do not tell that name from {name}. Choose "
                        f"another name, or delete the run {other} first.")


def same_letters(first: str, second: str) -> bool:
    """Whether two names differ at most in how an accent is written, which some disks choose by themselves."""
    return normalize("NFC", first) == normalize("NFC", second)


def check_files(config: Config, host: Host, kind: ArtefactKind) -> None:
    """NameTaken for files that the host has under the names that the run will give: those first against which
    overwriting is no help.
    """
    folder, pattern = host.folder(kind.folder).resolve(), artefact_files.run_pattern(config.name)
    paths = sorted(
        (path for path in artefact_files.of_run(host.roots(kind.folder), kind, config.name)
         if path.parent.resolve() == folder or pattern.fullmatch(path.stem) or kind.folder == "embeddings"),
        key=lambda path: not same_name(path.stem, config.name),
    )
    ours = [path for path in paths if path.suffix in kind.endings and would_be_replaced(path, folder, config.name)]
    earlier = [path for path in ours if not same_name(path.stem, config.name)]
    others = [path for path in paths if path not in ours]
    for path in others:
        if path.parent.resolve() == folder and not pattern.fullmatch(path.stem) and kind.folder != "embeddings":
            raise NameTaken(f"{path} is there, and many disks do not tell that name from {config.name}. Move it out of "
                            f"{folder} or rename it, or choose another name.")
        if kind.folder != "checkpoints":
            raise NameTaken(
                f"{path} has the same name, and a prompt could get that file in place of the new one. Move it out of "
                f'{host.folder(kind.folder)} or rename it, or choose another name; "overwrite" would not replace it.'
            )
    if paths and not config.overwrite:
        raise NameTaken(f'{paths[0]} exists already. Choose another name, or switch "overwrite" on.')
    for path in earlier:
        log.warning(
            "%s is of an earlier run of that name; it stays where it is and is not compared with the new files.",
            path.name,
        )
    for path in others:
        log.warning("%s has the same name; choose the new checkpoint by its folder.", path)


def would_be_replaced(path: Path, folder: Path, name: str) -> bool:
    """Whether a file lies where a run of that name writes one, as the disk sees it. path: one that `of_run` gave."""
    place = folder / (name + folded(path.name)[len(folded(name)):])
    return path.parent.resolve() == folder and place.exists() and place.samefile(path)
