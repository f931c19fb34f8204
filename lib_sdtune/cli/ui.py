"""Open the tab in a browser, without a WebUI.

It listens on this machine only. Ctrl+C, or what ends a process politely, saves the state of a running training first.
"""

import socket
import time
from argparse import ArgumentParser, Namespace
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_sdtune.cli import INTERRUPTED
from lib_sdtune.cli.arguments import add_checkpoint, add_data_dir
from lib_sdtune.errors import UserError, system_reason

if TYPE_CHECKING:
    from lib_sdtune.app import App

HERE = "127.0.0.1"
SAVING = 60  # seconds that a run gets to save its state


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=7870, metavar="N", help="default: 7870")
    add_data_dir(parser)
    add_checkpoint(parser, "the checkpoint to train")


def run(args: Namespace) -> int:
    check(args.port)
    import uvicorn

    app = make_app(args)
    server = make_server(app)
    print(f"SD Tune is at http://{HERE}:{args.port} until you press Ctrl+C.", flush=True)
    is_training = False
    try:
        with suppress(KeyboardInterrupt):  # the server ends first, and passes the signal on
            uvicorn.run(server, host=HERE, port=args.port, log_level="warning")
    finally:
        is_training = bool(app.context.queue.current)
        leave(app)
    return INTERRUPTED if is_training else 0


def check(port: int) -> None:
    for package in ("gradio", "uvicorn"):
        if find_spec(package) is None:
            raise UserError(
                f"The tab needs the package {package}, which is not installed; `python install.py --demo` installs it."
            )
    if not 1 <= port <= 65535:
        raise UserError(f"--port is {port}; it must lie between 1 and 65535.")
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((HERE, port))
        except OSError as error:
            raise UserError(
                f"Port {port} cannot be used ({system_reason(error)}); choose another one with --port."
            ) from None


def make_app(args: Namespace) -> "App":
    from lib_sdtune.app import App
    from lib_sdtune.host.embedded import EmbeddedHost

    host = EmbeddedHost(Path(args.data_dir), args.checkpoint or None)
    host.defaults()  # whatever is wrong with the checkpoint is told before the page opens
    return App(lambda: host)


def make_server(app: "App") -> Any:
    from lib_sdtune.ui.context import TabContext
    from lib_sdtune.ui.standalone import serve

    return serve(TabContext(app=app, defaults=app.host.defaults))


def leave(app: "App") -> None:
    """Let the run that is on save its state."""
    app.jobs.interrupt_all()
    until = time.monotonic() + SAVING
    while app.context.queue.current and time.monotonic() < until:
        time.sleep(0.1)
