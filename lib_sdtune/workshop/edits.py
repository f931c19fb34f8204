"""The edits that a page may ask for, as functions caption -> caption."""

from lib_sdtune.data import tags
from lib_sdtune.data.expressions import Substitution
from lib_sdtune.errors import UserError
from lib_sdtune.registry import nearest
from lib_sdtune.workshop.questions import text

WORDLESS = {"sort": tags.arrange, "dedupe": tags.dedupe}
WORDED = {"add": tags.add, "front": tags.lead, "remove": tags.remove}
REPLACING = ("replace", "regex")
NAMES = (*WORDED, *REPLACING, *WORDLESS)


def edit(data):
    """The edit that {"do", "words", "new"} describes. UserError if it is none, lacks its words or has a wrong expression."""
    do, words, new = text(data, "do"), text(data, "words"), text(data, "new")
    if do in WORDLESS:
        return WORDLESS[do]
    if do not in NAMES:
        raise UserError(f'"do" is {do!r}{nearest(do, NAMES)}; it can be: {", ".join(NAMES)}.')
    if not words.strip():
        raise UserError("The edit lacks its words; write which tags it is about.")
    if do in WORDED:
        return lambda caption: WORDED[do](caption, words)
    if do == "replace":
        return lambda caption: tags.replace(caption, words, new)
    return Substitution(words, new).check()
