"""Regular expressions that users write. Some, such as (a+)+$, would keep a processor busy for years: those are refused in time."""

import time

from lib_sdtune.data.expressions.program import program
from lib_sdtune.errors import UserError

LIMIT = 2.0  # seconds for one caption
SLOW = 0.1  # seconds from which on it is the expression that is slow, not the machine
PATIENCE = 5.0  # seconds of such slowness in all


class Substitution:
    """caption -> caption with every match of `pattern` replaced by `new`, as in re.sub. UserError when it can't be used."""

    def __init__(self, pattern, new):
        self.pattern, self.new, self.spent = pattern, new, 0.0

    def __call__(self, caption):
        began = time.monotonic()
        answer = program.ask([self.pattern, self.new, caption], LIMIT)
        took = time.monotonic() - began
        self.spent += took if took > SLOW else 0.0
        if answer is None or self.spent > PATIENCE:
            raise UserError(f"The regular expression {self.pattern!r} takes too long; write it without a repetition inside a repetition.")
        if "wrong" in answer:
            self.refuse(answer)
        return answer["text"]

    def refuse(self, answer):
        if answer["where"] == "pattern":
            raise UserError(f"The regular expression {self.pattern!r} does not compile: {answer['wrong']}.")
        raise UserError(f"The regular expression {self.pattern!r} with {self.new!r} can't be used: {answer['wrong']}.")

    def check(self):
        """UserError if it is no expression; to be asked before the first caption is touched."""
        self("")
        return self
