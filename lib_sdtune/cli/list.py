"""List what can be chosen: methods, networks, optimizers, families or presets."""

import re
import sys
from argparse import ArgumentParser, Namespace
from importlib import import_module

from lib_sdtune import presets
from lib_sdtune.cli.arguments import add_data_dir
from lib_sdtune.cli.presets import own_presets

KINDS = {"methods": "methods", "networks": "networks", "optimizers": "optim", "families": "families"}


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("kind", choices=[*KINDS, "presets"])
    add_data_dir(parser, "where the tab keeps its presets")


def run(args: Namespace) -> int:
    if args.kind == "presets":
        for name in presets.names():
            preset = presets.load(name)
            print(f"{name:16} {preset['title']}: {preset['for']}")
        for name in own_presets(args.data_dir).names():
            print(f"{name:16} saved in the tab")
        return 0
    for name, entry in import_module(f"lib_sdtune.{KINDS[args.kind]}").registry:
        print(f"{name:20} {first_sentence(sys.modules[entry.__module__].__doc__ or '')}".rstrip())
    return 0


def first_sentence(text: str) -> str:
    """Of a docstring's first paragraph, on one line; full stops inside brackets end nothing."""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    outside = re.sub(r"\([^)]*\)", lambda bracket: "_" * len(bracket[0]), paragraph)
    return paragraph[:match.end()] if (match := re.search(r"\.(?=\s|$)", outside)) else paragraph
