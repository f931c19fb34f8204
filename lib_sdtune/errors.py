"""Errors that are sentences for the user: what happened, where, what to do."""

import re
from collections.abc import Mapping

BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
MAX_LENGTH = 1500  # characters of a sentence, whatever it quotes


def one_line(text: str) -> str:
    """Text with tabs, line breaks and other control signs as they are written in code, and its middle left out where it
    is very long. Bytes that are no text become question marks, so that every console and page can show it.
    """
    if len(text) > MAX_LENGTH:
        text = f"{text[:MAX_LENGTH // 2]} ... {text[-MAX_LENGTH // 2:]}"
    text = text.encode("utf-8", "replace").decode()
    return BREAKS.sub(lambda match: repr(match[0])[1:-1], text)


class Sentence(Exception):
    """An error that says itself to the user, in one line whatever names are in it."""

    def __str__(self) -> str:
        return one_line(super().__str__())


def system_reason(error: BaseException) -> str:
    """"No space left on device": what the system says of an OSError, without its number and path; any other error's
    own words.
    """
    return getattr(error, "strerror", None) or str(error)


class UserError(Sentence):
    """Wrong input, found before work started: the command line exits 2, the API answers 422."""


def require(condition: object, sentence: str) -> None:
    """UserError with that sentence unless the condition holds."""
    if not condition:
        raise UserError(sentence)


def refuse_empty(values: Mapping[str, object]) -> None:
    """UserError that names all settings that are empty, {key: value}, where it is more than one: of a single one others
    say more.
    """
    empty = [key for key, value in values.items() if not (value.strip() if isinstance(value, str) else value)]
    if len(empty) > 1:
        listed = ", ".join(f'"{key}"' for key in empty)
        raise UserError(f"These settings are empty: {listed}.")


class TooLittleMemory(UserError):
    """Not even one step would fit."""


class NameTaken(UserError):
    """The run or artefact exists already: the API answers 409."""


class NotFound(UserError):
    """There is nothing of that name: the API answers 404."""


class WrongState(UserError):
    """It makes no sense in the state that the run is in: the API answers 409."""


class RunError(Sentence):
    """A failure during a run: the command line exits 1, the job becomes `failed`."""


class NothingLearned(RunError):
    """A file would say nothing: what it holds is what training began with."""


class DiskFull(RunError):
    """A file could not be written for want of room; what was there before is unharmed."""


class FileRefused(RunError):
    """A file could not be written as long as another program has it open, or its disk is away or may not be written."""
