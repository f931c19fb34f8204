"""Arguments that several verbs take."""

from argparse import ArgumentParser


def add_data_dir(parser: ArgumentParser, what: str = "where models and runs live") -> None:
    """--data-dir, laid out like the WebUI's."""
    parser.add_argument("--data-dir", default="sdtune-data", metavar="D", help=f"{what} (default: sdtune-data)")


def add_checkpoint(parser: ArgumentParser, what: str) -> None:
    """--checkpoint; "" stands for the embedded model."""
    parser.add_argument("--checkpoint", default="", metavar="F", help=f"{what} (default: the small embedded model)")
