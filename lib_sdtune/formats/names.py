"""Names of runs and files: data that becomes part of a path, so it is checked before anything is opened."""

import re
import unicodedata
from collections.abc import Iterable

from lib_sdtune.errors import UserError
from lib_sdtune.formats.kinds import KINDS, ArtefactKind, noun

MAX_LENGTH = 100
CUTS = re.compile(r"\b(AND|BREAK)\b")
DEVICES = ({"con", "prn", "aux", "nul", "conin$", "conout$"}
           | {f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"})


def check_name(name: object, what: str = "name") -> str:
    """`name` itself, if it can be a file's name on every system; UserError otherwise.

    Letters of any script, digits, space and . _ - are allowed: what the WebUI keeps of a name, and what a prompt tag
    can hold.
    """
    if not isinstance(name, str) or not name:
        raise UserError(f'"{what}" is empty; give a name such as "ron".')
    if len(name) > MAX_LENGTH:
        raise UserError(f'"{what}" has {len(name)} characters; {MAX_LENGTH} is the most.')
    if name[0] in ". " or name[-1] in ". ":
        raise UserError(f'"{what}" {name!r} must not begin or end with a dot or a space.')
    letter = next((letter for letter in name if not allowed(letter)), None)
    if letter is not None:
        raise UserError(f'"{what}" {name!r} holds {letter!r}; a name is made of letters, digits, space, dot, dash and '
                        'underscore.')
    if name.split(".")[0].strip().lower() in DEVICES:
        raise UserError(f'"{what}" {name!r} is reserved by Windows; choose another one.')
    if len(name.encode()) > 200:
        raise UserError(f'"{what}" {name!r} is too long for a file name; choose a shorter one.')
    return name


def check_artefact_name(name: str, kinds: Iterable[ArtefactKind]) -> str:
    """`check_name`, and whether files of these `ArtefactKind`s can be used under that name in the WebUI. UserError."""
    check_name(name)
    of_kinds = {ending for kind in KINDS.values() for ending in (*kind.endings, *kind.pictures)}
    endings = sorted(of_kinds | {".preview", ".vae"})
    ending = next((ending for ending in endings if name.lower().endswith(ending)), None)
    if ending:
        stem = name[:-len(ending)].rstrip(". ") or "ron"
        raise UserError(f'"name" {name!r} ends like a file, and the ending is added anyway; write "{stem}".')
    for kind in kinds:
        if name.lower() in ("none", "automatic"):
            raise UserError(f'"name" {name!r} means something else in the WebUI, which would not list '
                            f"{noun(kind.content)} of that name; choose another one.")
        cut = not kind.tag and kind.folder == "embeddings" and CUTS.search(name)
        if cut:
            raise UserError(f'"name" {name!r} holds {cut[0]}, at which the WebUI cuts prompts, so the embedding could '
                            "not be asked for; write it in small letters or choose another name.")
    return name


def folded(name: str) -> str:
    """A name as disks see it that tell neither capital from small letters nor two ways of writing an accent apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def same_name(first: str, second: str) -> bool:
    """Whether two names are one on some file system (those of Windows and macOS, say)."""
    return folded(first) == folded(second)


def allowed(letter: str) -> bool:
    """Letters, their combining marks, digits, and four signs; full-width look-alikes of / and : are signs and so
    refused.
    """
    return (letter in " ._-" or unicodedata.category(letter)[0] == "L"
            or unicodedata.category(letter) in ("Mn", "Mc", "Nd"))
