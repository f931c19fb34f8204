"""How much of a caption is read: a text encoder reads rows of 75 tokens, and time and memory grow with every row.

One file by mistake among the captions (a log, a book) would otherwise cost minutes a step.
"""

import logging
import re
from collections.abc import Callable
from functools import lru_cache

log = logging.getLogger("sdtune")
MAX_TOKEN_LENGTH = 64  # letters, more than any token of CLIP's has
PART = re.compile(r"[^\s,]*[\s,]*")


def truncate(caption: str, tokenizer: Callable[[str], list[int]], most: int) -> str:
    """The caption, cut between words or tags so that it has at most `most` tokens; as it is if it has no more."""
    if len(caption) <= most:  # a token has a letter at least
        return caption
    candidate = caption[: most * MAX_TOKEN_LENGTH]
    if len(tokenizer(candidate)) <= most and candidate == caption:
        return caption
    ends = [part.end() for part in PART.finditer(candidate) if part.end() > part.start()]

    def first(parts: int) -> str:
        return candidate[: ends[parts - 1]].rstrip(" ,\t\r\n") if parts else ""

    low, high = 0, len(ends)  # the first `low` parts fit, the first `high + 1` do not
    while low < high:
        middle = (low + high + 1) // 2
        if len(tokenizer(first(middle))) <= most:
            low = middle
        else:
            high = middle - 1
    return first(low)


class CaptionLimit:
    """Called with captions; gives them at most `most` tokens long, and says once for each that it was cut."""

    def __init__(self, tokenizer: Callable[[str], list[int]], most: int) -> None:
        self.truncate = lru_cache(maxsize=65536)(lambda caption: self.cut(caption, tokenizer, most))

    def __call__(self, captions: list[str]) -> list[str]:
        return [self.truncate(caption) for caption in captions]

    @staticmethod
    def cut(caption: str, tokenizer: Callable[[str], list[int]], most: int) -> str:
        shorter = truncate(caption, tokenizer, most)
        if shorter != caption:
            log.warning('The caption that begins with "%s" is longer than %d tokens ("dataset.max_token_length"); '
                        'the rest '
                        "is not learnt.", caption[:60], most)
        return shorter
