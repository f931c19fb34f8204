"""List what can be chosen: methods, networks, optimizers, families or presets."""

import sys
from argparse import ArgumentParser, Namespace
from importlib import import_module

from lib_sdtune import presets

KINDS = {"methods": "methods", "networks": "networks", "optimizers": "optim", "families": "families"}


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("kind", choices=[*KINDS, "presets"])


def run(args: Namespace) -> int:
    if args.kind == "presets":
        for name in presets.names():
            preset = presets.load(name)
            print(f"{name:16} {preset['title']}: {preset['for']}")
        return 0
    for name, entry in import_module(f"lib_sdtune.{KINDS[args.kind]}").registry:
        about = (sys.modules[entry.__module__].__doc__ or "").strip().splitlines()
        print(f"{name:20} {about[0]}" if about else name)
    return 0
