"""Regular expressions that users write. Some, such as (a|a)*$, would keep a processor busy for years: they are ended.

Matched by the `regex` library, which has a `timeout`; the WebUI has it through transformers. What `re` understands, it
understands alike.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

from lib_sdtune.errors import UserError

try:
    import regex
except ImportError:
    regex = None

LIMIT = 2.0  # seconds for one caption
SLOW = 0.1  # seconds from which on it is the expression that is slow, not the machine
PATIENCE = 5.0  # seconds of such slowness in all
MAX_RESULT_LENGTH = 1 << 16  # letters of a result


class Substitution:
    """caption -> caption with every match of `pattern` replaced by `new`, as in re.sub. UserError if it is none."""

    def __init__(self, pattern: str, new: str) -> None:
        if regex is None:
            raise UserError("Regular expressions need the Python package regex, which can't be imported here; "
                            "install it (pip install regex), or replace tags instead.")
        self.pattern, self.new, self.spent = pattern, new, 0.0
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of signs that may get another meaning some day
                self.compiled = regex.compile(pattern)
        except (regex.error, OverflowError, RecursionError, MemoryError) as error:
            raise UserError(f"The regular expression {pattern!r} does not compile: {reason(error)}.") from error

    def __call__(self, caption: str) -> str:
        began = time.monotonic()
        try:
            result = self.compiled.sub(self.expand(len(caption)), caption, timeout=LIMIT)
        except TimeoutError as error:
            raise self.too_slow() from error
        except (regex.error, IndexError, RecursionError, MemoryError) as error:
            raise self.unusable(reason(error)) from error
        seconds = time.monotonic() - began
        self.spent += seconds if seconds > SLOW else 0.0
        if self.spent > PATIENCE:
            raise self.too_slow()
        return result

    def expand(self, length: int) -> Callable[[Any], str]:
        """A function match -> its replacement that ends a result which grows without measure."""
        room = MAX_RESULT_LENGTH - length  # too little by what is replaced, which is of no account

        def replacement(match: Any) -> str:
            nonlocal room
            text = match.expand(self.new)
            room -= len(text)
            if room < 0:
                raise self.unusable(f"the result is longer than {MAX_RESULT_LENGTH} letters")
            return text

        return replacement

    def too_slow(self) -> UserError:
        return UserError(f"The regular expression {self.pattern!r} takes too long; "
                         "write it without a repetition inside a repetition.")

    def check(self) -> "Substitution":
        """UserError if it can't be used at all; to be called before the first caption is touched."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            match = regex.compile(f"{self.pattern}|").search("")  # the pattern or nothing: there is a match to expand
        try:
            if match:
                match.expand(self.new)
        except (regex.error, IndexError) as error:
            raise self.unusable(reason(error)) from error
        return self

    def unusable(self, why: str) -> UserError:
        return UserError(f"The regular expression {self.pattern!r} with {self.new!r} can't be used: {why}.")


def reason(error: Exception) -> str:
    return str(error) or type(error).__name__
