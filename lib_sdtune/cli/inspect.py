"""Look at a folder of pictures, or at a model file.

A folder: pictures, captions, buckets and problems. A file: what it is, its family, and what its metadata says.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lib_sdtune.cli.console import Bar
from lib_sdtune.cli.settings import assign
from lib_sdtune.declaration import build
from lib_sdtune.errors import UserError
from lib_sdtune.sections.dataset import DatasetConfig, with_bucket_sides

MAX_VALUE_LENGTH = 100  # characters of a metadata value that are shown
BAR = 40
ROWS, WIDTH = 20, 160  # pictures of a folder, and letters of a line


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "path", metavar="PATH", help="a folder of pictures, a dataset .toml, or a .safetensors, .ckpt or .pt file"
    )
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--chart", metavar="FILE.svg", help="draw how many pictures each bucket and each tag has")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="changes",
                        help="look with one setting changed, such as dataset.resolution=768")


def run(args: Namespace) -> int:
    from lib_sdtune.data.problem import printable
    from lib_sdtune.formats.paths import exists

    path = Path(args.path)
    if not exists(path):
        raise UserError(f"There is no file or folder {printable(path)}.")
    if args.chart and Path(args.chart).suffix.lower() != ".svg":
        raise UserError(f"--chart {args.chart}: it is drawn as SVG; give a name that ends in .svg.")
    report, lines = folder(args, path) if path.is_dir() or path.suffix.lower() == ".toml" else file(path)
    print(json.dumps(report, indent=2, ensure_ascii=False) if args.json else "\n".join(lines))
    return 0


def folder(args: Namespace, path: Path) -> tuple[dict[str, Any], list[str]]:
    from lib_sdtune.data.inspect import drawn, inspect
    from lib_sdtune.formats.files import write_text

    changes: dict[str, Any] = {}
    for change in args.changes:
        assign(changes, change)
    settings = build(DatasetConfig, with_bucket_sides(changes.get("dataset", {})), "dataset")
    if args.json:
        report = inspect(path, settings)
    else:
        with Bar() as bar:
            report = inspect(path, settings, progress=bar.progress)
    if args.chart:
        write_text(args.chart, drawn(report["buckets"], report["tags"]))
    return report, list(about_folder(report))


def about_folder(report: dict[str, Any]) -> Iterator[str]:
    """The report in lines that a person reads."""
    yield from report["summary"]
    for name, folder in report["folders"].items():
        kind = "class, " if folder["is_class"] else ""
        yield f"{name} ({kind}{folder['images']} pictures, counted {folder['repeats']} times):"
        rows = [row for row in report["pictures"] if row["folder"] == name]
        for row in rows[:ROWS]:
            bucket = "x".join(map(str, row["bucket"]))
            yield f"  {row['path']}  {row['width']}x{row['height']} -> {bucket}  {row['caption']}"[:WIDTH]
        if len(rows) > ROWS:
            yield f"  ... and {len(rows) - ROWS} more; --json names all."
    yield from chart("Buckets", report["buckets"])
    yield from chart("Tags", dict(list(report["tags"].items())[:20]))
    if report["problems"]:
        yield "Problems:"
        yield from (f"  {'left out: ' if problem['fatal'] else ''}{problem['text']}" for problem in report["problems"])


def chart(title: str, counts: dict[Any, int]) -> Iterator[str]:
    if counts:
        yield f"{title}:"
        most, wide = max(counts.values()), min(40, max(len(str(name)) for name in counts))
        yield from (
            f"  {str(name)[:40]:{wide}} {count:6} {'#' * max(1, round(BAR * count / most))}"
            for name, count in counts.items()
        )


def file(path: Path) -> tuple[dict[str, Any], list[str]]:
    from lib_sdtune.artefacts.about import about
    from lib_sdtune.data.kinds import SUFFIXES

    try:
        report = about(path)
    except UserError:
        if path.suffix.lower() in SUFFIXES:
            raise UserError(
                f"{path} is a picture, and no embedding is in it; give the folder that it lies in."
            ) from None
        raise
    return report, list(about_file(report))


def about_file(report: dict[str, Any]) -> Iterator[str]:
    family = f" of the family {report['family']}" if report["family"] else ", family unknown"
    yield f"{report['path']} is {report['noun']}{family}."
    yield from (
        f"  {key}: {shortened(value)}"
        for key, value in report.items()
        if key not in ("path", "kind", "noun", "family", "metadata")
    )
    if report["metadata"]:
        yield "Metadata:"
        yield from (f"  {key}: {shortened(value)}" for key, value in sorted(report["metadata"].items()))


def shortened(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_VALUE_LENGTH else text[: MAX_VALUE_LENGTH - 3] + "..."
