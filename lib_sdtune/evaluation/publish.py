"""Makes one of a run's files the one that is used, under the run's own name; everything can be taken back.

What is moved and replaced goes into the run folder, and a journal there says how to undo it. It is written before each
deed, so that a crash in between can be undone too.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_sdtune.artefacts.artefact_files import sidecars
from lib_sdtune.errors import RunError, UserError, WrongState
from lib_sdtune.evaluation.candidates import Candidate, of_run, relocated
from lib_sdtune.evaluation.copies import copy_as, copy_config
from lib_sdtune.evaluation.evaluation import result
from lib_sdtune.evaluation.journal import FILE, SWEPT, Journal, RunPaths
from lib_sdtune.evaluation.published_card import write_card
from lib_sdtune.formats.files import free_space
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.methods import registry as methods
from lib_sdtune.methods.base import Artefact
from lib_sdtune.training import run_lock

if TYPE_CHECKING:
    from lib_sdtune.host.base import Host
    from lib_sdtune.training.runs import RunFolder

SPARE = 2**20  # bytes


def publish(host: "Host", run: "RunFolder", file: str = "", weight: float | None = None,
            negative_text: str | None = None) -> dict[str, Any]:
    """Publish a saved file: "" takes the proposal. Returns {"file", "weight", "path", "swept": [names]}.

    weight: what the card recommends, above 0 and at most 4; None takes the proposal's. negative_text: None keeps what
    the card said, or takes the negative prompt of the samples. The winner is copied to NAME, with its card and preview;
    the other files are swept into the run folder.

    UserError for what cannot be published, RunError where the disk fails, and then everything is as before; NameTaken
    while the run is on, here or in another program.
    """
    with run_lock.taken(run.path):
        return publish_locked(host, run, file, weight, negative_text)


def publish_locked(host: "Host", run: "RunFolder", file: str, weight: float | None, negative_text: str | None
                   ) -> dict[str, Any]:
    """`publish` while the run folder is this process's."""
    if weight is not None and not 0 < weight <= 4:
        raise UserError('"weight" must be a number above 0 and at most 4.')
    if (run.path / FILE).exists():
        raise UserError(f"{run.path.name} is published already; take that back first.")
    evaluated, config = result(run), run.config()
    proposal = (evaluated or {}).get("proposal") or {}
    name = file or proposal.get("file")
    if not name:
        raise UserError("Nothing was proposed yet; compare the files first, or name one.")
    candidates = of_run(host, run)
    winner = next((candidate for candidate in candidates if candidate.stem == name), None)
    if winner is None:
        raise UserError(f"The run has no saved file {name!r}; there are: "
                        f"{', '.join(candidate.stem for candidate in candidates)}.")
    if weight is None:
        weight = proposal.get("weight", 1.0) if name == proposal.get("file") else 1.0
    refuse_loaded(host, run, [candidate.path for candidate in candidates])
    refuse_too_little_room(run.path, winner.path, [candidate.path for candidate in candidates])
    final = winner.path.with_name(config.name + winner.path.suffix)
    journal = Journal(paths_of(host, run))
    try:
        moved = sweep(journal, [candidate for candidate in candidates
                                if candidate.path != final or winner.path != final])
        source = moved.get(winner.path, winner.path)
        if source != final:
            journal.creates(final)
            copy_as(source, final, config.name)
            copy_config(journal, source, final)
        write_card(host, journal, final, winner, run, evaluated, weight, negative_text)
        journal.finish({"file": winner.stem, "weight": weight, "path": journal.paths.text(final)})
    except (OSError, RunError) as error:
        journal.undo()
        raise RunError(f"{name} was not published ({error}); everything is as before.") from error
    artefact = Artefact(final, winner.kind, winner.prompt("", weight) if winner.kind != "embeddings" else config.name)
    host.publish(artefact)
    return {"file": winner.stem, "weight": weight, "path": str(final), "swept": sorted(path.name for path in moved)}


def sweep(journal: Journal, candidates: list[Candidate]) -> dict[Path, Path]:
    """Move files with what belongs to them into the run folder; {old path: new path} of the files themselves."""
    moved = {}
    for candidate in candidates:
        for path in [candidate.path, *sidecars(candidate.path)]:
            if path.exists():
                moved[path] = journal.move_away(path)
    return {candidate.path: moved[candidate.path] for candidate in candidates}


def undo(host: "Host", run: "RunFolder") -> dict[str, list[str]]:
    """Put everything back as it was before `publish`, all or nothing.

    {"files": names that there are to choose from again, "kept": names of files that the user made or changed since}
    NameTaken while the run is on, here or in another program.
    """
    if not (run.path / FILE).exists():
        raise UserError(f"{run.path.name} is not published, so there is nothing to take back.")
    with run_lock.taken(run.path):
        journal = Journal.read(paths_of(host, run))
        refuse_loaded(host, run, [journal.paths.path(step["made"]) for step in journal.steps if "made" in step])
        kept = journal.undo()
    candidates = of_run(host, run)
    for candidate in candidates[-1:]:
        host.publish(Artefact(candidate.path, candidate.kind, candidate.prompt("", 1)))
    return {"files": [candidate.path.name for candidate in candidates], "kept": [path.name for path in kept]}


def published(host: "Host", run: "RunFolder") -> dict[str, Any] | None:
    """{"file", "weight", "path"} of what was published of a `RunFolder`, or None."""
    with suppress(UserError):
        journal = Journal.read(paths_of(host, run))
        publication = next((step["published"] for step in journal.steps if "published" in step), None)
        if isinstance(publication, dict) and isinstance(publication.get("path"), str):
            return {**publication, "path": str(journal.paths.path(publication["path"]))}
    return None


def paths_of(host: "Host", run: "RunFolder") -> RunPaths:
    return RunPaths(host, run, methods[run.settings()["method"]].kind)


def swept_files(run: "RunFolder") -> list[Path]:
    """The files of a run that publishing one of them moved into its folder."""
    return sorted((run.path / SWEPT).glob("*"))


def refuse_swept_files(host: "Host", run: "RunFolder") -> None:
    """WrongState when a run folder holds files that exist nowhere else, because one of them was published."""
    original = run.copied_from()
    if original and (run.path.parent / original).exists():
        return
    if swept_files(run) or published(host, run):
        raise WrongState(f"The other files of {run.path.name} were put into its folder when it was published; "
                         "take that back first.")


def kind_of(host: "Host", main: str, path: Path) -> str:
    """Whose folder a run's file was written to: some runs write more than their main kind, under the same name."""
    kinds = [main, *(kind.folder for kind in KINDS.values() if kind.folder != main)]
    return next((kind for kind in kinds if host.folder(kind).name in path.parent.parts), main)


def remaining(host: "Host", run: "RunFolder", artefacts: list[str]) -> dict[str, Any]:
    """{"artefacts", "published"}: which of a run's files are still there, wherever the host's folders are now."""
    publication = published(host, run)
    main = paths_of(host, run).kind
    paths = [str(path) for path in (relocated(host, kind_of(host, main, Path(artefact)), Path(artefact))
                                    for artefact in artefacts) if path.exists()]
    if publication and publication["path"] not in paths:
        paths.append(publication["path"])
    return {"artefacts": list(dict.fromkeys(paths)), "published": publication}


def refuse_loaded(host: "Host", run: "RunFolder", paths: Iterable[Path]) -> None:
    """UserError when the host has one of these checkpoints loaded: it would go on with weights that are no longer those
    of the file.
    """
    loaded = host.about().get("model") if methods[run.config().method].kind == "checkpoints" else None
    if loaded and loaded in {path.stem for path in paths}:
        raise UserError(f"{loaded} is the checkpoint that is loaded; choose another one first, so that its file can be "
                        "moved.")


def refuse_too_little_room(folder: Path, winner: Path, files: Iterable[Path]) -> None:
    """UserError when the copy does not fit beside the winner, or, on another disk, the swept files into the run folder.
    """
    if winner.stat().st_size + SPARE > free_space(winner.parent):
        raise UserError(f"{winner.parent} has no room for a copy of {winner.name}; make room first.")
    swept = sum(path.stat().st_size for path in files)
    if folder.stat().st_dev != winner.parent.stat().st_dev and swept + SPARE > free_space(folder):
        raise UserError(f"{folder} has no room for the other files ({swept / 2**20:,.0f} MB); make room first.")
