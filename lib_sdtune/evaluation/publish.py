"""Makes one of a run's files the one that is used, under the run's own name; everything can be taken back.

What is moved and replaced goes into the run folder, and a journal there says how to undo it. It is written before each
deed, so that a crash in between can be undone too.
"""

import json
import shutil
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_sdtune import prompt_lines
from lib_sdtune.artefacts.artefact_files import sidecars
from lib_sdtune.artefacts.card import with_notes
from lib_sdtune.data.captions import trigger_words
from lib_sdtune.errors import RunError, UserError, WrongState
from lib_sdtune.evaluation.candidates import Candidate, of_run, relocated
from lib_sdtune.evaluation.evaluation import FOLDER, result
from lib_sdtune.evaluation.journal import FILE, SWEPT, Journal, RunPaths
from lib_sdtune.formats import pickled, structure
from lib_sdtune.formats.files import atomic, free_space, write_json
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.methods import registry as methods
from lib_sdtune.methods.base import Artefact
from lib_sdtune.sections.general import rates_of
from lib_sdtune.training import run_lock

if TYPE_CHECKING:
    from lib_sdtune.config import Config
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


def copy_as(source: Path, final: Path, name: str) -> None:
    """A copy of the file that calls itself `name` inside too; its tensors are untouched."""
    if source.suffix == ".safetensors":
        copy_with_title(source, final, name)
    elif source.suffix == ".pt":
        data = pickled.read(source)
        if isinstance(data, dict) and "name" in data:
            pickled.write(final, data | {"name": name})
        else:
            copy(source, final)
    else:
        copy(source, final)


def copy_config(journal: Journal, source: Path, final: Path) -> None:
    """The .yaml by which the WebUI knows what kind of checkpoint it is."""
    if source.with_suffix(".yaml").exists():
        journal.creates(final.with_suffix(".yaml"))
        copy(source.with_suffix(".yaml"), final.with_suffix(".yaml"))


def copy(source: Path, final: Path) -> None:
    with atomic(final) as unfinished:
        shutil.copyfile(source, unfinished)


def copy_with_title(source: Path, final: Path, name: str) -> None:
    with open(source, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        facts = header.get("__metadata__", {})
        facts |= {key: name for key in ("ss_output_name", "modelspec.title") if key in facts}
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        with atomic(final) as unfinished, open(unfinished, "wb") as output:
            output.write(struct.pack("<Q", len(text)) + text)
            shutil.copyfileobj(file, output, 1 << 20)


def write_card(host: "Host", journal: Journal, final: Path, winner: Candidate, run: "RunFolder",
               evaluated: dict[str, Any] | None, weight: float, negative_text: str | None) -> None:
    """NAME.json and NAME.preview.png; what the user wrote on the last card of that name stays."""
    config = run.config()
    trigger = trigger_words(config.concepts[0].prompt, config.word, [host.folder("templates")])
    swept = journal.paths.swept
    before = next((card for card in (swept / f"{config.name}.json", final.with_suffix(".json")) if card.exists()), None)
    old = read_card(before) if before else {}
    if negative_text is None:
        negative_text = old.get("negative text") or common_negative(config)
    facts = {"activation text": old.get("activation text") or trigger, "preferred weight": weight,
             "negative text": negative_text, "notes": with_notes(old, notes(config, winner, evaluated))}
    for ending in (".json", ".preview.png"):
        if final.with_suffix(ending).exists():  # the winner is the final file itself: its card is kept for taking back
            journal.move_away(final.with_suffix(ending), f"before{ending}")
        journal.creates(final.with_suffix(ending))
    write_json(final.with_suffix(".json"), {"description": "", "sd version": "Unknown"} | old | facts)
    preview = preview_source(run, winner, evaluated, swept)
    if preview:
        copy(preview, final.with_suffix(".preview.png"))


def read_card(path: Path) -> dict:
    """What is on a card; {} where it is damaged."""
    return structure.read(path, dict) or {}


def preview_source(run: "RunFolder", winner: Candidate, evaluated: dict[str, Any] | None, folder: Path) -> Path | None:
    """The picture for the card: the best of the grid, else what was the preview, else the last sample."""
    rated = next((entry for entry in (evaluated or {}).get("ranking", []) if entry["file"] == winner.stem), None)
    candidates = [run.path / FOLDER / "cells" / rated["picture"]] if rated else []
    candidates += [folder / f"{winner.stem}.preview.png", folder / "before.preview.png",
               folder / f"{run.config().name}.preview.png"]
    return next((path for path in candidates if path.exists()), None)


def common_negative(config: "Config") -> str:
    """The negative prompt that the run's samples share, or ""."""
    negatives = {prompt_lines.parse(line).get("negative_prompt", "")
                 for line in prompt_lines.spoken(config.sample.prompts)}
    return negatives.pop() if len(negatives) == 1 else ""


def notes(config: "Config", winner: Candidate, evaluated: dict[str, Any] | None) -> str:
    """The card's line of notes: how the file was trained, and how it was chosen."""
    settings = vars(config.settings)
    dim = f", dim {settings['dim']}, alpha {settings['alpha']:g}" if "dim" in settings else ""
    rates = ", ".join(f"{key} {value}" for key, value in rates_of(config.settings).items())
    ranking = (evaluated or {}).get("ranking")
    chosen = f"; chosen from {len(ranking)} files ({winner.label})" if ranking else f"; {winner.label}"
    return (f"{config.method}, step {winner.step}{dim}, {rates}, {config.train.optimizer}, batch "
            f"{config.train.batch_size}, "
            f"resolution {config.dataset.resolution}, seed {config.train.seed}{chosen}")
