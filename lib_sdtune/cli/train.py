"""Train what CONFIG says.

CONFIG is JSON or TOML with at least "name" and the pictures' folder, "concepts": [{"images": ...}]; paths in it are
relative to it. Ctrl+C saves the state and leaves; the same command with --resume goes on from there.
"""

import json
import os
import shutil
import signal
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_sdtune.cli import INTERRUPTED
from lib_sdtune.cli.arguments import add_checkpoint, add_data_dir
from lib_sdtune.cli.console import Bar, is_main_process
from lib_sdtune.cli.presets import settings_of, tell_other_family
from lib_sdtune.cli.settings import absolute, assign, read
from lib_sdtune.config import laid_over
from lib_sdtune.errors import UserError
from lib_sdtune.formats.files import remove_if_empty
from lib_sdtune.formats.plain_data import overlaid

if TYPE_CHECKING:
    from lib_sdtune.config import Config
    from lib_sdtune.host.embedded import EmbeddedHost
    from lib_sdtune.methods.base import Artefact
    from lib_sdtune.training.control import Control


def arguments(parser: ArgumentParser) -> None:
    takes_settings(parser)
    add_data_dir(parser)
    add_checkpoint(parser, "the checkpoint to train")
    parser.add_argument(
        "--preset", default="", metavar="P",
        help="settings to start from: a built-in preset, or one that was saved in the tab; see `list presets`",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the saved state of the run of that name")
    parser.add_argument(
        "--measure", action="store_true", help="train nothing: try two steps and say what memory and time one takes"
    )


def takes_settings(parser: ArgumentParser) -> None:
    parser.add_argument("config", nargs="?", metavar="CONFIG", help="the run's settings, a .json or .toml file")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="changes",
                        help="change settings, such as train.seed=7")


def run(args: Namespace) -> int:
    data = settings(args)
    if args.measure:
        return measure(data, args.data_dir, args.checkpoint, args.preset)
    artefact, control = train(data, args.data_dir, args.checkpoint, args.preset, args.resume)
    if control.state == "stopped":
        if is_main_process():
            print(how_to_resume(control))
        return INTERRUPTED
    if artefact:
        print(artefact.path)
    elif control.is_complete() and is_main_process():
        print(control.message)  # what was left out
    return 0


def how_to_resume(control: "Control") -> str:
    from lib_sdtune.training import state

    if state.newest(control.folder) is None:
        return "Interrupted before the first step; the same command starts it anew."
    return f"Interrupted after step {control.step}. The same command with --resume goes on from the saved state."


def settings(args: Namespace) -> dict[str, Any]:
    """The file's settings with the command line's changes; paths of the latter are relative to where one stands."""
    path, changes = args.config, list(args.changes)
    if path is None and changes and "=" not in changes[-1]:
        path = changes.pop()  # CONFIG was given last, behind --set
    if path is None:
        raise UserError("CONFIG is missing: give the file of the run's settings.")
    data = read(path)
    for change in changes:
        assign(data, change)
    return absolute(data, Path.cwd())


def train(data: dict[str, Any], data_dir: str, checkpoint: str = "", preset: str = "",
          resume: bool = False) -> tuple["Artefact | None", "Control"]:
    """One run to its end; (artefact or None, its `Control`)."""
    config, host = checked_config(data, data_dir, checkpoint, preset)

    from lib_sdtune.data import held_out, scan
    from lib_sdtune.training import runs
    from lib_sdtune.training.run import run as train_run

    scan.check(config.concepts, config.loss, Path.cwd(), [host.folder("templates")])
    held_out.check(config, Path.cwd(), [host.folder("templates")])
    new = not runs.folder_of(host, config.name).exists()
    with Bar() as bar:
        control = runs.begin(config, host, resume, on_change=bar.run)
        with interruptible(control), removed_if_refused(control.folder, Path(data_dir), new):
            return train_run(config, host, control), control


def measure(data: dict[str, Any], data_dir: str, checkpoint: str = "", preset: str = "") -> int:
    """Say what a step needs; the exit code is 0 if it fits as it is, 1 if something has to be changed."""
    config, host = checked_config(data, data_dir, checkpoint, preset)

    from lib_sdtune.data import scan
    from lib_sdtune.training.memory import measure as two_steps

    scan.check(config.concepts, config.loss, Path.cwd(), [host.folder("templates")])
    with Bar() as bar:
        need = two_steps.measure(config, host, bar.progress)
    print(need.sentence())
    if need.changes:
        print("--set " + " ".join(f"{path}={json.dumps(value)}" for path, value in need.changes.items()))
    return 1 if need.changes else 0


def checked_config(data: dict[str, Any], data_dir: str, checkpoint: str = "",
                   preset: str = "") -> tuple["Config", "EmbeddedHost"]:
    """The checked `Config`, with what the preset and the model recommend laid under it, and the host that will train
    it.
    """
    from lib_sdtune.config import Config

    chosen = settings_of(preset, data_dir) if preset else {}
    if checkpoint:
        data = overlaid({"model": {"checkpoint": os.path.abspath(checkpoint)}}, data)
    model_settings = Config.model_of(data, chosen)  # typing mistakes are told before anything is loaded

    from lib_sdtune.host.embedded import EmbeddedHost

    host = EmbeddedHost(Path(data_dir), checkpoint or None)
    if preset:
        tell_other_family(preset, data_dir, host.about(model_settings))
    return Config.from_dict(data, laid_over(chosen, host.defaults(model_settings))), host


@contextmanager
def interruptible(control: "Control") -> Iterator[None]:
    """The first Ctrl+C, or what ends a process politely, asks the run to save its state and leave; a second Ctrl+C
    leaves at once.
    """
    def ask(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with suppress(UserError):  # it has ended already
            control.request("interrupt")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def removed_if_refused(folder: Path, data_dir: Path, new: bool) -> Iterator[None]:
    """Wrong input leaves nothing behind: a run folder that was made for a run that is then refused goes again, unless
    there is something to resume in it.
    """
    from lib_sdtune.training import state

    try:
        yield
    except UserError:
        if new and state.newest(folder) is None:
            shutil.rmtree(folder, ignore_errors=True)
            remove_if_empty(folder.parent, data_dir.parent)
        raise
