"""Errors that are sentences for the user: what happened, where, and what to do about it."""


class UserError(Exception):
    """Wrong input, found before work started: the command line exits 2, the API answers 422."""


def require(condition, sentence):
    """UserError with that sentence unless the condition holds."""
    if not condition:
        raise UserError(sentence)


class TooLittleMemory(UserError):
    """Not even one step would fit."""


class RunError(Exception):
    """A failure during a run: the command line exits 1, the job becomes `failed`."""


class DiskFull(RunError):
    """A file could not be written for want of room; what was there before is unharmed."""


class NameTaken(UserError):
    """The run or artefact exists already: the API answers 409."""
