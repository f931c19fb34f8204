"""Compare two runs: the settings that differ, their curves over each other, samples of the same prompt and seed."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from lib_sdtune.cli.arguments import add_data_dir
from lib_sdtune.cli.run_folders import embedded_host, open_run
from lib_sdtune.cli.written_file import check_written_file, is_page


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("first", metavar="RUN")
    parser.add_argument("second", metavar="RUN")
    add_data_dir(parser, "where runs live")
    parser.add_argument(
        "--out", default="", metavar="FILE", help="the page to write (default: compare.html in the first run's folder)"
    )


def run(args: Namespace) -> int:
    from lib_sdtune.evaluation import comparison

    if args.out:
        check_written_file(Path(args.out), is_page)
    first, second = (open_run(embedded_host(args.data_dir), name) for name in (args.first, args.second))
    for row in comparison.differing(first.config().to_dict(), second.config().to_dict()):
        print(f"{row['setting']}: {row['one']} / {row['other']}")
    print(comparison.write(first, second, Path(args.out or first.path / "compare.html")))
    return 0
