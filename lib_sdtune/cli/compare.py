"""Compare two runs: the settings that differ, their curves over each other, samples of the same prompt and seed."""

from pathlib import Path

from lib_sdtune.cli.choose import lent, opened


def arguments(parser):
    parser.add_argument("one", metavar="RUN")
    parser.add_argument("other", metavar="RUN")
    parser.add_argument("--data-dir", default="sdtune-data", metavar="D", help="where runs live (default: sdtune-data)")
    parser.add_argument("--out", default="", metavar="FILE", help="the page to write (default: compare.html in the first run's folder)")


def run(args):
    from lib_sdtune.evaluation import comparison

    one, other = (opened(lent(args.data_dir), name) for name in (args.one, args.other))
    for row in comparison.differing(one.config().to_dict(), other.config().to_dict()):
        print(f"{row['setting']}: {row['one']} / {row['other']}")
    print(comparison.write(one, other, Path(args.out or one.path / "compare.html")))
    return 0
