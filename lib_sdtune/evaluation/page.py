"""What is left of a choice for people: sheet.png and index.html beside the pictures."""

from html import escape

from PIL import Image

from lib_sdtune.formats.files import atomic, write_text
from lib_sdtune.pages.contact_sheet import contact_sheet
from lib_sdtune.pages.html import Raw, listing, page, paragraph, picture, section, table
from lib_sdtune.pages.line_chart import chart

THUMBS = 600  # pictures that a page holds in full size; more are made smaller


def grid(folder, result):
    """Write both."""
    write_sheet(folder, result)
    title = f"Which file of {result['run']}?"
    parts = verdict(result), order(folder, result), curve(result), section("Grid", pictures(folder, result))
    write_text(folder / "index.html", page(title, *parts))


def write_sheet(folder, result):
    def held(name):
        return Image.open(folder / "cells" / name) if name and (folder / "cells" / name).exists() else None

    rows = [f"{row['prompt']}  (seed {row['seed']})" for row in result["rows"]]
    images = [[held(name) for name in line] for line in result["cells"]]
    made = contact_sheet(images, [column["label"] for column in result["columns"]], rows)
    with atomic(folder / "sheet.png") as unfinished:
        made.save(unfinished, format="PNG")


def verdict(result):
    proposal, strength = result["proposal"], result["strength"]
    said = f"Proposed: {proposal['file']} at weight {proposal['weight']:g}. It is a proposal; look at the pictures." if proposal else ""
    validation = (result["validation"] or {}).get("sentence", "")
    others = (strength["sentence"] if strength else "", result.get("note", ""), validation, result["problem"])
    return paragraph(said, "chip") + "".join(map(paragraph, others))


def order(folder, result):
    rows = [[f"{place}. {one['label']}", one["file"], f"{one['score']:.2f}", listing(one["reasons"]),
             picture(folder / "cells" / one["picture"], 128, one["file"])]
            for place, one in enumerate(result["ranking"], 1)]
    by = paragraph(f"Pictures were compared by {result['measured_by']}.", "soft") if rows else ""
    return section("Ranking", table(["", "File", "Score", "Why", ""], rows), by) if rows else ""


def curve(result):
    points = result["curve"]
    series = {"shows the subject": [(point["weight"], point["subject"]) for point in points],
              "follows the prompt": [(point["weight"], point["prompt"]) for point in points]}
    marks = [(result["strength"]["weight"], "recommended")] if result["strength"] else []
    return section("Strength", chart(series, "By the weight in the prompt", marks)) if points else ""


def pictures(folder, result):
    count = sum(len(line) for line in result["cells"])
    side = 160 if count <= THUMBS else max(48, int(160 * (THUMBS / count) ** 0.5))
    best = (result["proposal"] or {}).get("file")
    head = "".join(f"<th>{section_of(column, best)}</th>" for column in result["columns"])
    lines = []
    for row, names in zip(result["rows"], result["cells"], strict=True):
        kinds = ["best" if column["file"] == best else "" for column in result["columns"]]
        shown = "".join(f"<td>{picture(folder / 'cells' / name, side, row['prompt'], kind) if name else ''}</td>"
                        for name, kind in zip(names, kinds, strict=True))
        lines.append(f"<tr><th>{words(row)}</th>{shown}</tr>")
    return Raw(f'<div class="grid"><table><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>')


def section_of(column, best):
    return f'<span class="chip">{escape(column["label"])}</span>' if column["file"] == best else escape(column["label"])


def words(row):
    return f"{escape(row['prompt'])}<br>seed {row['seed']}"
