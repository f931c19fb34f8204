"""The edits that a page may ask for, as functions caption -> caption."""

from collections.abc import Callable

from lib_sdtune.data import prompt_syntax, tags
from lib_sdtune.data.expressions import Substitution
from lib_sdtune.data.find_replace import find_and_replace
from lib_sdtune.errors import UserError
from lib_sdtune.registry import nearest
from lib_sdtune.services.fields import text

WITHOUT_WORDS = {"sort": tags.arrange, "dedupe": tags.dedupe, "plain": prompt_syntax.plain}
WITH_WORDS = {"add": tags.add, "front": tags.lead, "remove": tags.remove}
REPLACING = {"replace": tags.replace, "find": find_and_replace}
NAMES = (*WITH_WORDS, *REPLACING, "regex", *WITHOUT_WORDS)


def edit(data: dict) -> Callable[[str], str]:
    """The edit that {"do", "words", "new"} describes. UserError if it is none, or lacks its words."""
    name, words, new = text(data, "do"), text(data, "words"), text(data, "new")
    if name in WITHOUT_WORDS:
        return WITHOUT_WORDS[name]
    if name not in NAMES:
        raise UserError(f'"do" is {name!r}{nearest(name, NAMES)}; it can be: {", ".join(NAMES)}.')
    if not words.strip():
        raise UserError("The edit lacks its words; write which tags it is about.")
    if name in WITH_WORDS:
        return lambda caption: WITH_WORDS[name](caption, words)
    if name in REPLACING:
        return lambda caption: REPLACING[name](caption, words, new)
    return Substitution(words, new).check()


def prune(trigger: str, unwanted: str) -> Callable[[str], str]:
    """The edit that takes the tags `unwanted` out and puts the trigger word first. UserError where both are empty."""
    if not trigger.strip() and not unwanted.strip():
        raise UserError("Write a trigger word, or choose tags to prune.")

    def change(caption: str) -> str:
        caption = tags.remove(caption, unwanted) if unwanted.strip() else caption
        return tags.lead(caption, trigger) if trigger.strip() else caption

    return change
