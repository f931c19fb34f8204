"""Compare the saved files of a run: a grid, a ranking with reasons, a proposal, a recommended strength.

The pages index.html and sheet.png in the run's folder `choose` show it. Started again, it goes on where it was.
With --of FILE FILE … any files of one family are drawn side by side, in a folder called RUN below sdtune/choices; with --pictures FOLDER,
which holds what they shall show, they are ranked too.
--publish makes the proposed file the one that is used (--file chooses another), --undo takes that back.
"""

import sys
from dataclasses import fields
from pathlib import Path

from lib_sdtune.cli.console import Bar
from lib_sdtune.errors import UserError

LISTS = {"files": str, "prompts": str, "weights": float, "seeds": int}


def arguments(parser):
    parser.add_argument("name", metavar="RUN", help="the run's name")
    parser.add_argument("--data-dir", default="sdtune-data", metavar="D", help="where models and runs live (default: sdtune-data)")
    parser.add_argument("--checkpoint", default="", metavar="F", help="the checkpoint to draw with (default: the small embedded model)")
    for name, kind in LISTS.items():
        parser.add_argument(f"--{name}", nargs="+", type=kind, default=None, metavar=name[0].upper(), help=f"the grid's {name}")
    for name in ("steps", "width", "height"):
        parser.add_argument(f"--{name}", type=int, default=None, metavar="N")
    parser.add_argument("--cfg-scale", type=float, default=None, metavar="X")
    parser.add_argument("--negative-prompt", default=None, metavar="P")
    parser.add_argument("--of", nargs="+", default=[], metavar="FILE", help="files to draw side by side instead of a run's")
    parser.add_argument("--pictures", default="", metavar="FOLDER", help="with --of: the pictures by which to rank them")
    parser.add_argument("--sure", action="store_true", default=None, help="make the grid even if it is large")
    parser.add_argument("--publish", action="store_true", help="publish the proposed file, or --file")
    parser.add_argument("--file", default="", metavar="F", help="the file to publish instead of the proposed one")
    parser.add_argument("--weight", type=float, default=None, metavar="W", help="the preferred weight on its card")
    parser.add_argument("--undo", action="store_true", help="take back what was published")


def run(args):
    from lib_sdtune.evaluation import publish, settings
    from lib_sdtune.evaluation.any_files import AnyFiles
    from lib_sdtune.evaluation.evaluation import result

    if args.of and (args.publish or args.undo):
        raise UserError("--of only compares; publishing is for the files of a run.")
    if args.pictures and not args.of:
        raise UserError("--pictures goes with --of; a run knows its pictures itself.")
    host = lent(args.data_dir, args.checkpoint)
    folder = AnyFiles(host, args.name, args.of, args.pictures) if args.of else opened(host, args.name)
    if args.undo:
        print("\n".join(publish.undo(host, folder)))
        return 0
    chosen_settings = {field.name: value for field in fields(settings.EvaluationSettings)
                       if (value := getattr(args, field.name, None)) is not None}
    wanted = settings.read(chosen_settings)
    if not (args.publish and (args.file or result(folder))):
        made = chosen(host, folder, wanted)
        for line in told(made):
            print(line)
        print(folder.path / "choose" / "index.html")
    if args.publish:
        done = publish.publish(host, folder, args.file, args.weight)
        print(f"{done['path']} is {done['file']}, preferred weight {done['weight']:g}; --undo takes that back.")
    return 0


def chosen(host, folder, wanted):
    """The result; a grid that is large is asked about where somebody sits at the keyboard."""
    from lib_sdtune.evaluation.evaluation import Evaluation
    from lib_sdtune.evaluation.grid import TooMany

    try:
        with Bar() as bar:
            return Evaluation(host, folder, wanted, bar.progress).make()
    except TooMany as question:
        if not sys.stdin.isatty() or input(f"{question} Draw them all the same? [y/N] ").strip().lower() not in ("y", "yes"):
            raise
    wanted.sure = True
    return chosen(host, folder, wanted)


def told(made):
    for place, one in enumerate(made["ranking"], 1):
        yield f"{place}. {one['file']} ({one['score']:.2f})"
        yield from (f"     {reason}" for reason in one["reasons"])
    if made["proposal"]:
        yield f"Compared by {made['measured_by']}."
        yield f"Proposed: {made['proposal']['file']} at weight {made['proposal']['weight']:g}."
    if made["strength"]:
        yield made["strength"]["sentence"]
    if made["problem"]:
        yield made["problem"]


def lent(data_dir, checkpoint=""):
    """The embedded host."""
    from lib_sdtune.host.embedded import EmbeddedHost

    return EmbeddedHost(Path(data_dir), checkpoint or None)


def opened(host, name):
    """The `RunFolder` of a run. UserError when there is none."""
    from lib_sdtune.formats.names import check_name
    from lib_sdtune.training.runs import RunFolder, folder_of

    path = folder_of(host, check_name(name))
    if not (path / "config.json").is_file():
        known = sorted(one.parent.name for one in path.parent.glob("*/config.json"))
        raise UserError(f"There is no run called {name!r} in {path.parent}; there are: {', '.join(known) or 'none'}.")
    return RunFolder(path)
