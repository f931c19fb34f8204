"""Write a run's report.html: settings, curves, pictures, versions, on one page that opens anywhere."""

from argparse import ArgumentParser, Namespace

from lib_sdtune.cli.arguments import add_data_dir
from lib_sdtune.cli.run_folders import embedded_host, open_run


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="RUN")
    add_data_dir(parser, "where runs live")


def run(args: Namespace) -> int:
    from lib_sdtune import report
    from lib_sdtune.evaluation import run_report

    folder = open_run(embedded_host(args.data_dir), args.name)
    print(run_report.write(folder, folder.status(), f"{report.machine()}, {report.packages()}"))
    return 0
