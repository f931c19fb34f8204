"""report.html: one run on one page that opens anywhere, with settings, curves, pictures and versions."""

import json
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from lib_sdtune import __version__
from lib_sdtune.artefacts.metadata import shared_config
from lib_sdtune.config import Config
from lib_sdtune.evaluation import page as evaluation_page
from lib_sdtune.evaluation.evaluation import FOLDER, result
from lib_sdtune.formats.files import write_text
from lib_sdtune.pages.html import Raw, page, paragraph, picture, section, table
from lib_sdtune.pages.line_chart import chart, smoothed, thinned
from lib_sdtune.training import per_image_loss
from lib_sdtune.training.overfitting import assess
from lib_sdtune.training.run_states import ENDED
from lib_sdtune.training.runs import RunFolder

SAMPLES, PICTURES = 60, 8
VERDICTS = {"": "", "hard": ", never converges", "memorised": ", memorised"}


def write(run: RunFolder, status: dict[str, Any], versions: str = "") -> Path:
    """Write report.html into the run's folder; its path. `versions`: text about the machine."""
    config, rows = run.config(), run.log()
    path = run.path / "report.html"
    evaluated = result(run)
    where = f"{status.get('state', '')} at step {status.get('step', 0)} of {status.get('total_steps', 0)}"
    about = section("Versions", paragraph(f"SD Tune {__version__}"), paragraph(versions))
    parts = [paragraph(f"{config.method}, {where}.", "soft"),
             curves(rows, status.get("state") in ENDED), section("Samples", samples(run)),
             section("Pictures by their loss", losses(run)), chosen(run, evaluated),
             section("Settings", settings(config)), about]
    write_text(path, page(config.name, *parts))
    return path


def curves(rows: list[dict[str, Any]], ended: bool) -> str:
    assessment = assess(rows, ended) or {}
    marks = [(assessment["step"], "memorises")] if assessment.get("kind") == "memorises" else []
    loss = smoothed([(row["step"], row["loss"]) for row in rows if row.get("loss") is not None])
    measured = {words: [(row["step"], row[name]) for row in rows if row.get(name) is not None]
                for name, words in (("val_loss", "kept aside"), ("fit_loss", "trained"), ("class_loss", "class"))}
    rates = {"learning rate": thinned([(row["step"], row["lr"]) for row in rows if row.get("lr") is not None])}
    return section("Curves", chart({"loss": thinned(loss)} if loss else {}, "Loss, smoothed", whole=True),
                   chart(measured, "Measured at fixed noise", marks, whole=True),
                   paragraph(assessment.get("sentence", "")), paragraph(assessment.get("forgetting", "")),
                   chart(rates, "Learning rate", whole=True))


def samples(run: RunFolder) -> str:
    paths = sorted((run.path / "samples").glob("*.png"))
    step = max(1, -(-len(paths) // SAMPLES))
    return strip((path, caption(path)) for path in paths[::step])


def caption(path: Path) -> str:
    """"step 30, prompt 1" of step00000030-00.png."""
    numbers = re.fullmatch(r"step(\d+)-(\d+)", path.stem)
    return f"step {int(numbers[1])}, prompt {int(numbers[2]) + 1}" if numbers else path.stem


def losses(run: RunFolder) -> str:
    """The hardest and the easiest pictures."""
    rows = per_image_loss.read(run.path)["pictures"]
    picked = rows if len(rows) <= 2 * PICTURES else [*rows[:PICTURES], *rows[-PICTURES:]]
    return strip((row["path"], f"{row['file']}: {row['factor']:.2f} × the usual loss{VERDICTS.get(row['verdict'], '')}")
                 for row in picked)


def strip(pairs: Iterable[tuple[str | Path, str]]) -> str:
    figures = [f"<figure>{picture(path, 128, words)}<figcaption>{escape(words)}</figcaption></figure>"
               for path, words in pairs]
    return Raw(f'<div class="strip">{"".join(figures)}</div>') if figures else ""


def chosen(run: RunFolder, evaluated: dict[str, Any] | None) -> str:
    if not evaluated:
        return ""
    return (evaluation_page.verdict(evaluated) + evaluation_page.order(run.path / FOLDER, evaluated)
            + evaluation_page.curve(evaluated))


def settings(config: Config) -> Raw:
    """Those that are not the defaults first, then all, as JSON; without the machine's paths."""
    values_by_group = shared_config(config)
    usual = shared_config(Config(name="", concepts=config.concepts, method=config.method))
    rows = [[f"{group}.{key}", json.dumps(value, ensure_ascii=False)]
            for group, values in values_by_group.items() if isinstance(values, dict)
            for key, value in values.items() if value != usual[group][key]]
    text = escape(json.dumps(values_by_group, indent=1, ensure_ascii=False))
    changed = table(["Setting", "Value"], rows)
    return Raw(f"{changed}<details><summary>All settings</summary><pre>{text}</pre></details>")
