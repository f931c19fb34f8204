"""Two runs side by side: the settings that differ, their curves over each other, and samples of the same prompt and
seed.
"""

from pathlib import Path
from typing import Any

from lib_sdtune.formats import infotext
from lib_sdtune.formats.files import write_text
from lib_sdtune.formats.structure import is_number
from lib_sdtune.pages.html import Raw, page, paragraph, picture, section, table
from lib_sdtune.pages.line_chart import chart, smoothed, thinned
from lib_sdtune.training.overfitting import assess
from lib_sdtune.training.runs import RunFolder

SAME = ("Steps", "Sampler", "CFG scale", "Seed", "Size")


def compare(first: RunFolder, second: RunFolder) -> dict[str, Any]:
    """{"runs", "differing", "curves", "samples"} of two `RunFolder`s, for JSON.

    differing: [{"setting", "one", "other"}]; curves: {"loss"|"val_loss": [[(step, value)] of each]}; samples:
    [{"prompt", "seed", "one", "other"}], file names in each run's samples folder.
    """
    return {"runs": [first.path.name, second.path.name],
            "differing": differing(first.config().to_dict(), second.config().to_dict()),
            "curves": {name: [points(run, name) for run in (first, second)] for name in ("loss", "val_loss")},
            "said": [(assess(run.log(), True) or {}).get("sentence", "") for run in (first, second)],
            "samples": same_samples(first, second)}


def differing(first: dict[str, Any], second: dict[str, Any], where: str = "") -> list[dict[str, Any]]:
    """Settings that are not the same, with their full names; the method's own of another method left out."""
    differences = []
    for key in sorted(set(first) | set(second)):
        a, b, name = first.get(key), second.get(key), f"{where}{key}"
        if name == "name":
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            differences += differing(a, b, f"{name}.")
        elif isinstance(a, list) and isinstance(b, list) and [*map(type, a)] == [*map(type, b)] == [dict] * len(a):
            for number, (left, right) in enumerate(zip(a, b, strict=True)):
                differences += differing(left, right, f"{name}[{number}].")
        elif a != b:
            differences.append({"setting": name, "one": a, "other": b})
    return differences


def points(run: RunFolder, name: str) -> list[tuple[float, float]]:
    rows = [(row["step"], row[name]) for row in run.log() if is_number(row.get(name))]
    return thinned(smoothed(rows) if name == "loss" else rows, 300)


def same_samples(first: RunFolder, second: RunFolder) -> list[dict[str, Any]]:
    """The last pair of each prompt and seed that both runs have drawn in the same way."""
    left, right = (last_samples(run) for run in (first, second))
    return [{"prompt": key[0], "seed": dict(key[2])["Seed"], "one": left[key], "other": right[key]}
            for key in left if key in right]


def last_samples(run: RunFolder) -> dict[tuple, str]:
    """(prompt, negative prompt, facts) -> file name; prompts without the run's own words are not told apart."""
    names = {}
    for path in sorted((run.path / "samples").glob("*.png")):
        text = infotext.of_picture(path)
        prompt, negative, facts = infotext.read(text) if text else ("", "", {})
        names[prompt, negative, tuple((key, facts.get(key, "")) for key in SAME)] = path.name
    return names


def write(first: RunFolder, second: RunFolder, path: Path) -> Path:
    """The comparison as a page of one file."""
    compared = compare(first, second)
    names = [run.path.name for run in (first, second)]
    settings = table(["Setting", *names], [[row["setting"], printed(row["one"]), printed(row["other"])]
                                           for row in compared["differing"]])
    charts = [chart(dict(zip(names, compared["curves"][name], strict=True)), title, whole=True)
              for name, title in (("loss", "Loss, smoothed"), ("val_loss", "Loss on pictures kept aside"))]
    sides = ((first, "one"), (second, "other"))
    rows = [[row["prompt"], row["seed"], *(picture(run.path / "samples" / row[side], 256) for run, side in sides)]
            for row in compared["samples"]]
    verdicts = "".join(paragraph(f"{name}: {sentence}")
                       for name, sentence in zip(names, compared["said"], strict=True) if sentence)
    write_text(path, page(f"{names[0]} and {names[1]}",
                          section("Settings that differ", settings or paragraph("None but the name.")),
                          section("Curves", Raw("".join(charts)), verdicts),
                          section("Same prompt, same seed", table(["Prompt", "Seed", *names], rows))))
    return path


def printed(value: Any) -> str:
    return (""
            if value is None else f"{value:g}" if isinstance(value, float) else value
            if isinstance(value, str) else str(value))
