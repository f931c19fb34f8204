"""Make a training set in OUT of the pictures in IN: resize, crop, background, captions.

The originals are only read. Running it again does what is new and leaves alone what you changed since; so does going
on after Ctrl+C.
"""

import dataclasses
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_sdtune.cli.arguments import add_data_dir
from lib_sdtune.cli.console import Bar
from lib_sdtune.cli.settings import typed
from lib_sdtune.declaration import build, choices, hint
from lib_sdtune.errors import UserError
from lib_sdtune.sections.dataset import with_bucket_sides

if TYPE_CHECKING:
    from lib_sdtune.data.prepare import PrepareConfig


def arguments(parser: ArgumentParser) -> None:
    from lib_sdtune.data.prepare import PrepareConfig

    parser.add_argument("source", metavar="IN", help="folder of the originals")
    parser.add_argument("out", metavar="OUT", help="folder for what is made of them")
    parser.add_argument("--caption", default="", metavar="NAME",
                        help="have pictures without caption described: wd14, which needs onnxruntime and a tagger "
                             "below --data-dir, in models/WD14; deepbooru or blip in the WebUI")
    add_data_dir(parser, "where a tagger is looked for")
    parser.add_argument(
        "--crop-box",
        action="append",
        default=[],
        metavar="FILE=L,T,R,B",
        help="crop that picture of IN by hand: left, top, right, bottom from 0 to 1; it stays for later calls, "
        "and FILE= takes it back",
    )
    for field in dataclasses.fields(PrepareConfig):
        flag = f"--{field.name.replace('_', '-')}"
        parser.add_argument(
            flag, dest=f"set_{field.name}", default=None, help=field.metadata["help"].replace("%", "%%"), **kind(field)
        )


def kind(field: dataclasses.Field) -> dict[str, Any]:
    """How argparse takes a declared setting; the value is checked by the declaration afterwards."""
    if isinstance(field.default, bool):
        return {"action": "store_true"}
    if field.default is dataclasses.MISSING:
        return {"action": "append", "metavar": "TEXT"}
    names = choices(field)
    return {"metavar": "|".join(names) if names else "N" if isinstance(field.default, int | float) else "TEXT"}


def run(args: Namespace) -> int:
    from lib_sdtune.data.prepare import prepare

    chosen, boxes = settings(args), dict(map(box, args.crop_box))
    with captioner(args.caption, args.data_dir) as describe, Bar() as bar:
        outcome = prepare(args.source, args.out, chosen, progress=bar.progress, boxes=boxes, describe=describe)
    print(f"{len(outcome.written)} files made, {len(outcome.unchanged)} kept, {len(outcome.removed)} removed.")
    for problem in outcome.problems:
        print(f"  {'left out: ' if problem.fatal else ''}{problem.text}")
    return 0


def settings(args: Namespace) -> "PrepareConfig":
    from lib_sdtune.data.prepare import PrepareConfig

    flags = {field.name: getattr(args, f"set_{field.name}") for field in dataclasses.fields(PrepareConfig)}
    values = {
        name: value if isinstance(value, bool | list) else typed(hint(PrepareConfig, name), value)
        for name, value in flags.items()
        if value is not None
    }
    return build(PrepareConfig, with_bucket_sides(values))


def box(text: str) -> tuple[str, list[str] | None]:
    """(file, fractions or None) of FILE=L,T,R,B."""
    name, equals, edges = text.rpartition("=")
    if not equals or not name:
        raise UserError(f"--crop-box {text!r} is not FILE=L,T,R,B, such as photo.jpg=0.1,0,0.9,1.")
    return name, edges.split(",") if edges.strip() else None


@contextmanager
def captioner(name: str, data_dir: str) -> Iterator[Callable[[Any], str] | None]:
    """A function image -> text, or None when no captioner is asked for."""
    if not name:
        yield None
        return
    from lib_sdtune.data.captioners import registry
    from lib_sdtune.host.embedded import EmbeddedHost

    with registry[name](EmbeddedHost(Path(data_dir))) as chosen:
        yield chosen.describe
