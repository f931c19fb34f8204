"""The card of a file that is published: what to type, how strong, how it was trained and chosen, and its preview."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_sdtune import prompt_lines
from lib_sdtune.artefacts.card import with_notes
from lib_sdtune.data.captions import trigger_words
from lib_sdtune.evaluation.candidates import Candidate
from lib_sdtune.evaluation.copies import copy
from lib_sdtune.evaluation.evaluation import FOLDER
from lib_sdtune.evaluation.journal import Journal
from lib_sdtune.formats import structure
from lib_sdtune.formats.files import write_json
from lib_sdtune.sections.general import rates_of

if TYPE_CHECKING:
    from lib_sdtune.config import Config
    from lib_sdtune.host.base import Host
    from lib_sdtune.training.runs import RunFolder


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
