"""The command line: `python -m lib_sdtune VERB`. Exit codes: 0 done, 1 failed, 2 wrong input, 130 interrupted."""

import argparse
import importlib
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from lib_sdtune import __version__
from lib_sdtune.cli import INTERRUPTED
from lib_sdtune.cli.console import enduring_output, speak
from lib_sdtune.errors import RunError, UserError
from lib_sdtune.failures import first_line, name_too_long

VERBS = (
    "train",
    "sample",
    "choose",
    "compare",
    "lora",
    "report",
    "inspect",
    "import",
    "prepare",
    "class-pictures",
    "list",
    "schema",
    "demo",
    "ui",
)
NAMING = {"--data-dir": "folder", "--out": "file or folder", "--checkpoint": "file", "--preset": "preset",
          "--images": "folder", "--pictures": "folder", "--chart": "file", "--file": "file", "--of": "file",
          "--caption": "captioner"}


class Parser(argparse.ArgumentParser):
    """argparse that says what is wrong in one sentence instead of printing its usage."""

    def add_argument(self, *names: Any, **facts: Any) -> argparse.Action:
        """As argparse has it; what every verb is about (a file, a folder, a run) must not be empty."""
        if not names[0].startswith("-") and not facts.keys() & {"type", "choices"}:
            facts["type"] = partial(named, facts.get("metavar", names[0]))
        return super().add_argument(*names, **facts)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message[:1].upper()}{message[1:]}; see `{self.prog} --help`.")


def parser(argv: Sequence[str]) -> Parser:
    """The parser of all verbs, with the arguments of the one that is asked for: some read them off what takes a
    second to load.
    """
    top = Parser(prog="python -m lib_sdtune", description="Fine-tunes Stable Diffusion.")
    top.add_argument("--version", action="version", version=__version__)
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    for verb in VERBS:
        module = importlib.import_module(f"lib_sdtune.cli.{verb.replace('-', '_')}")
        description = module.__doc__ or ""  # which python -OO leaves out
        sub = verbs.add_parser(verb, help=description.partition("\n")[0], description=description,
                               formatter_class=argparse.RawDescriptionHelpFormatter)
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        if verb in argv[:1]:
            module.arguments(sub)
        sub.set_defaults(run=module.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; its exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    with enduring_output():
        return answer(argv, "--debug" in argv)


def answer(argv: Sequence[str], debug: bool) -> int:
    try:
        refuse_empty_names(argv)
        args = parser(argv).parse_args(argv)
        with speak(logging.getLogger("sdtune")), warnings.catch_warnings():
            warnings.simplefilter(
                "default" if debug else "ignore"
            )  # they are for programmers, and stderr is for errors
            return args.run(args) or 0
    except KeyboardInterrupt:
        return complain("Interrupted.", INTERRUPTED)
    except UserError as error:
        return complain(error, 2, debug)
    except RunError as error:
        return complain(error, 1, debug)
    except Exception as error:
        if too_long := name_too_long(error):
            return complain(too_long, 2, debug)
        return complain(f"Something unexpected went wrong ({type(error).__name__}: {first_line(error)}); "
                        "the same command with --debug shows where.", 1, debug)


def refuse_empty_names(argv: Sequence[str]) -> None:
    """UserError for an option that is given and names nothing, as an unset variable of a script leaves it: it would be
    this folder, or what the option is there to replace.
    """
    for option, noun in NAMING.items():
        values = [value for before, value in zip(argv, argv[1:], strict=False) if before == option]
        values += [argument.partition("=")[2] for argument in argv if argument.startswith(f"{option}=")]
        if any(not value.strip() for value in values):
            raise UserError(f"{option} is empty; name a {noun}, or leave {option} out.")


def named(what: str, text: str) -> str:
    """A positional argument as it was given. UserError where it is empty."""
    if not text.strip():
        raise UserError(f"{what} is empty; name a {'run' if what == 'RUN' else 'file or folder'}.")
    return text


def complain(sentence: object, code: int, debug: bool = False) -> int:
    if debug:
        traceback.print_exc()
    print(sentence, file=sys.stderr)
    return code


def leave(code: int) -> NoReturn:
    """Exit. An interrupt that came in the middle of an import can make Python end by the signal whatever the code;
    not so here.
    """
    if code == INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # what was to be done is done: Python only takes itself down now
    sys.exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # docker stop and `kill` end a run as Ctrl+C does
    leave(main())
