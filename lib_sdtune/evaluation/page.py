"""What is left of a choice for people: sheet.png and index.html beside the pictures."""

from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from lib_sdtune.formats.files import atomic, write_text
from lib_sdtune.pages.contact_sheet import contact_sheet
from lib_sdtune.pages.html import Raw, listing, page, paragraph, picture, section, table
from lib_sdtune.pages.line_chart import chart

THUMBS = 600  # pictures that a page holds in full size; more are made smaller


def grid(folder: Path, result: dict[str, Any]) -> None:
    """Write both."""
    write_sheet(folder, result)
    title = f"Which file of {result['run']}?"
    parts = verdict(result), order(folder, result), curve(result), section("Grid", pictures(folder, result))
    write_text(folder / "index.html", page(title, *parts))


def write_sheet(folder: Path, result: dict[str, Any]) -> None:
    def image(name: str | None) -> Image.Image | None:
        return Image.open(folder / "cells" / name) if name and (folder / "cells" / name).exists() else None

    rows = [f"{row['prompt']}  (seed {row['seed']})" for row in result["rows"]]
    images = [[image(name) for name in line] for line in result["cells"]]
    sheet_image = contact_sheet(images, [column["label"] for column in result["columns"]], rows)
    with atomic(folder / "sheet.png") as unfinished:
        sheet_image.save(unfinished, format="PNG")


def verdict(result: dict[str, Any]) -> str:
    proposal, strength = result["proposal"], result["strength"]
    sentence = ""
    if proposal:
        sentence = (f"Proposed: {proposal['file']} at weight {proposal['weight']:g}. "
                    "It is a proposal; look at the pictures.")
    validation = (result["validation"] or {}).get("sentence", "")
    sentences = (strength["sentence"] if strength else "", result.get("note", ""), validation, result["problem"])
    drawn = f"Drawn with {result['drawn_with']}." if result.get("drawn_with") else ""
    return paragraph(drawn, "soft") + paragraph(sentence, "chip") + "".join(map(paragraph, sentences))


def order(folder: Path, result: dict[str, Any]) -> str:
    rows = [[f"{place}. {entry['label']}", entry["file"], f"{entry['score']:.2f}", listing(entry["reasons"]),
             picture(folder / "cells" / entry["picture"], 128, entry["file"])]
            for place, entry in enumerate(result["ranking"], 1)]
    by = paragraph(f"Pictures were compared by {result['measured_by']}.", "soft") if rows else ""
    return section("Ranking", table(["", "File", "Score", "Why", ""], rows), by) if rows else ""


def curve(result: dict[str, Any]) -> str:
    points = result["curve"]
    series = {"shows the subject": [(point["weight"], point["subject"]) for point in points],
              "follows the prompt": [(point["weight"], point["prompt"]) for point in points]}
    marks = [(result["strength"]["weight"], "recommended")] if result["strength"] else []
    return section("Strength", chart(series, "By the weight in the prompt", marks)) if points else ""


def pictures(folder: Path, result: dict[str, Any]) -> Raw:
    count = sum(len(line) for line in result["cells"])
    side = 160 if count <= THUMBS else max(48, int(160 * (THUMBS / count) ** 0.5))
    best = (result["proposal"] or {}).get("file")
    head = "".join(f"<th>{column_head(column, best)}</th>" for column in result["columns"])
    lines = []
    for row, names in zip(result["rows"], result["cells"], strict=True):
        kinds = ["best" if column["file"] == best else "" for column in result["columns"]]
        images = [picture(folder / "cells" / name, side, row["prompt"], kind) if name else ""
                  for name, kind in zip(names, kinds, strict=True)]
        lines.append(f"<tr><th>{words(row)}</th>{''.join(f'<td>{image}</td>' for image in images)}</tr>")
    return Raw(f'<div class="grid"><table><thead><tr><th></th>{head}</tr></thead>'
               f'<tbody>{"".join(lines)}</tbody></table></div>')


def column_head(column: dict[str, Any], best: str | None) -> str:
    return f'<span class="chip">{escape(column["label"])}</span>' if column["file"] == best else escape(column["label"])


def words(row: dict[str, Any]) -> str:
    return f"{escape(row['prompt'])}<br>seed {row['seed']}"
