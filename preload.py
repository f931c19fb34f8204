"""Flags that the WebUI's command line gets from SD Tune."""

from argparse import ArgumentError
from contextlib import suppress


def preload(parser):
    with suppress(ArgumentError):  # installed twice: the other one's flags are the same
        add_flags(parser)


def add_flags(parser):
    parser.add_argument("--sdtune-pictures", action="append", default=[], metavar="DIR",
                        help="SD Tune: folder that pictures may come from when the WebUI can be reached by others; "
                             "can be repeated")
    parser.add_argument("--sdtune-host", action="append", default=[], metavar="NAME",
                        help="SD Tune: name under which this machine may be called besides localhost, behind a proxy "
                             "say; can be repeated")
