"""Compare the saved files of a run: a grid, a ranking with reasons, a proposal, a recommended strength.

The pages index.html and sheet.png in the run's folder `choose` show it. Started again, it goes on where it was.
With --of FILE FILE … any files of one family are drawn side by side, in a folder called RUN below sdtune/choices; with
--pictures FOLDER, which holds what they shall show, they are ranked too.
--publish makes the proposed file the one that is used (--file chooses another), --undo takes that back.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from lib_sdtune.cli.arguments import add_checkpoint, add_data_dir
from lib_sdtune.cli.console import Bar
from lib_sdtune.cli.run_folders import embedded_host, open_run
from lib_sdtune.errors import UserError

if TYPE_CHECKING:
    from lib_sdtune.evaluation.any_files import AnyFiles
    from lib_sdtune.evaluation.settings import EvaluationSettings
    from lib_sdtune.host.base import Host
    from lib_sdtune.training.runs import RunFolder

LISTS = {"files": str, "prompts": str, "weights": float, "seeds": int}


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="RUN", help="the run's name")
    add_data_dir(parser)
    add_checkpoint(parser, "the checkpoint to draw with")
    for name, kind in LISTS.items():
        parser.add_argument(
            f"--{name}", nargs="+", type=kind, default=None, metavar=name[0].upper(), help=f"the grid's {name}"
        )
    for name in ("steps", "width", "height"):
        parser.add_argument(f"--{name}", type=int, default=None, metavar="N")
    parser.add_argument("--cfg-scale", type=float, default=None, metavar="X")
    parser.add_argument("--negative-prompt", default=None, metavar="P")
    parser.add_argument(
        "--of", nargs="+", default=[], metavar="FILE", help="files to draw side by side instead of a run's"
    )
    parser.add_argument(
        "--pictures", default="", metavar="FOLDER", help="with --of: the pictures by which to rank them"
    )
    parser.add_argument("--sure", action="store_true", default=None, help="make the grid even if it is large")
    parser.add_argument("--publish", action="store_true", help="publish the proposed file, or --file")
    parser.add_argument("--file", default="", metavar="F", help="the file to publish instead of the proposed one")
    parser.add_argument("--weight", type=float, default=None, metavar="W", help="the preferred weight on its card")
    parser.add_argument("--undo", action="store_true", help="take back what was published")


def run(args: Namespace) -> int:
    from lib_sdtune.evaluation import publish, settings
    from lib_sdtune.evaluation.any_files import AnyFiles
    from lib_sdtune.evaluation.evaluation import result

    if args.of and (args.publish or args.undo):
        raise UserError("--of only compares; publishing is for the files of a run.")
    if args.pictures and not args.of:
        raise UserError("--pictures goes with --of; a run knows its pictures itself.")
    host = embedded_host(args.data_dir, args.checkpoint)
    if args.undo:
        undone = publish.undo(host, open_run(host, args.name))
        print("\n".join(undone["files"]))
        if undone["kept"]:
            print(f"Made or changed since, and kept: {', '.join(undone['kept'])}.")
        return 0
    folder = AnyFiles(host, args.name, args.of, args.pictures) if args.of else open_run(host, args.name)
    options = {field.name: value for field in fields(settings.EvaluationSettings)
               if (value := getattr(args, field.name, None)) is not None}
    evaluation_settings = settings.read(options)
    if not (args.publish and (args.file or result(folder))):
        for line in describe(evaluate(host, folder, evaluation_settings)):
            print(line)
        print(folder.path / "choose" / "index.html")
    if args.publish:
        done = publish.publish(host, open_run(host, args.name), args.file, args.weight)
        print(f"{done['path']} is {done['file']}, preferred weight {done['weight']:g}; --undo takes that back.")
    return 0


def evaluate(host: "Host", folder: "RunFolder | AnyFiles", settings: "EvaluationSettings") -> dict[str, Any]:
    """The result; a grid that is large is asked about where somebody sits at the keyboard."""
    from lib_sdtune.evaluation.evaluation import Evaluation
    from lib_sdtune.evaluation.grid import TooMany

    try:
        with Bar() as bar:
            return Evaluation(host, folder, settings, bar.progress).make()
    except TooMany as question:
        if not sys.stdin.isatty():
            raise
        answer = input(f"{question} Draw them all the same? [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            raise
    settings.sure = True
    return evaluate(host, folder, settings)


def describe(result: dict[str, Any]) -> Iterator[str]:
    """The ranking, the proposal and the recommended strength in lines."""
    yield f"Drawn with {result['drawn_with']}."
    for place, entry in enumerate(result["ranking"], 1):
        yield f"{place}. {entry['file']} ({entry['score']:.2f})"
        yield from (f"     {reason}" for reason in entry["reasons"])
    if result["proposal"]:
        yield f"Compared by {result['measured_by']}."
        yield f"Proposed: {result['proposal']['file']} at weight {result['proposal']['weight']:g}."
    if result["strength"]:
        yield result["strength"]["sentence"]
    if result["problem"]:
        yield result["problem"]
