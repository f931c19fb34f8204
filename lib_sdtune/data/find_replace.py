"""Words found and replaced wherever a caption has them, in the middle of a sentence too."""

import re

NO_GAPS = "\u2e80"  # from here on, letters of scripts that put no blanks between words


def find_and_replace(caption: str, words: str, new: str) -> str:
    """The caption with `new` in place of `words`; an empty `new` takes them out, with the blank that was theirs.

    Words are found whole ("cat" is not in "catalog"), without regard to letter case, and _ is a blank.
    """
    sought = expression(words)
    if new:
        return re.sub(sought, lambda _: new, caption, flags=re.IGNORECASE)
    return re.sub(rf"\s+{sought}(?=[\s,.;:!?]|$)|{sought}\s*", "", caption, flags=re.IGNORECASE)


def expression(words: str) -> str:
    literal = r"[\s_]+".join(map(re.escape, re.split(r"[\s_]+", words.strip())))
    first, last = words.strip()[:1], words.strip()[-1:]
    before = r"(?<![^\W_])" if has_edge(first) else ""
    return before + literal + (r"(?![^\W_])" if has_edge(last) else "")


def has_edge(letter: str) -> bool:
    """Whether a word that begins or ends with this letter is parted from the next one."""
    return letter.isalnum() and letter < NO_GAPS
