"""Captions: where a picture's words come from, and how they vary from one showing to the next."""

import re
from pathlib import Path

from lib_sdtune import randomness
from lib_sdtune.data import text
from lib_sdtune.data.problem import Problem, shown
from lib_sdtune.errors import UserError
from lib_sdtune.registry import nearest

EXTENSIONS = (".txt", ".caption")
LEADING = re.compile(r"^[-_\d\s]+")  # as the WebUI strips file names for [filewords]
FILEWORDS, NAME = "[filewords]", "[name]"
OWN_TEMPLATES = Path(__file__).parent / "templates"  # subject, subject_filewords, style, style_filewords


def of(found, prompt, extension, problems, templated=False):
    """(caption, where it comes from) of one picture: its text file, the concept's prompt, its folder's or its own name.

    templated: these are words for a template's [filewords], which the folder's name is none of.

    Where from: "file", "prompt", "folder" (`10_name`), "name" or "none".
    """
    written = from_file(found, extension, problems) or found.listed
    if written:
        return written, "file"
    if prompt:
        return prompt, "prompt"
    if found.words and not templated:
        return found.words, "folder"
    words = from_name(found.path)
    return (words, "name") if words else ("", "none")


def from_file(found, extension, problems):
    """The first line that says something, or ""."""
    path = caption_file(found.texts, extension)
    if path is None:
        return ""
    try:
        content, encoding = text.read(path)
    except OSError as error:
        problems.append(Problem(path, f"The caption {shown(path.name)} can't be read ({error.strerror or error}).",
                                False, "caption unreadable"))
        return ""
    if encoding != "utf-8":
        problems.append(Problem(path, f"The caption {shown(path.name)} is not UTF-8; it was read as {encoding}. "
                                      "Save it as UTF-8 to be sure.", False, "caption not UTF-8"))
    lines = [line.strip() for line in content.split("\n") if line.strip()]
    if not lines:
        problems.append(Problem(path, f"The caption {shown(path.name)} is empty.", False, "caption empty"))
    elif len(lines) > 1:
        problems.append(Problem(path, f"The caption {shown(path.name)} has {len(lines)} lines; only the first is used.",
                                False, "caption lines"))
    return lines[0] if lines else ""


def caption_file(texts, extension):
    """The configured extension first, then the other usual one."""
    extension = extension.strip().lower()
    extension = extension if extension.startswith(".") or not extension else "." + extension
    return next((texts[one] for one in (extension, *EXTENSIONS) if one in texts), None)


def from_name(path):
    """Words of a file name: digits and dashes in front are a number, underscores are spaces; "" if no letter is left."""
    words = LEADING.sub("", shown(Path(path).stem)).replace("_", " ").strip()
    return words if any(letter.isalpha() for letter in words) else ""


def template(prompt, folders):
    """Lines of a template, or None if `prompt` is a plain caption.

    A prompt that ends in .txt names a template file in one of `folders` or our own; one with [filewords] is a template of one line.
    """
    if not prompt.strip().lower().endswith(".txt"):
        return [prompt] if FILEWORDS in prompt or NAME in prompt else None
    for folder in (*folders, OWN_TEMPLATES):
        path = Path(folder) / prompt.strip()
        if path.is_file():
            lines = [line.strip() for line in text.read(path)[0].split("\n") if line.strip()]
            if not lines:
                raise UserError(f"The prompt template {shown(prompt)} is empty; write one prompt per line, such as \"a photo of [name]\".")
            return lines
    known = sorted({path.name for folder in (*folders[1:], OWN_TEMPLATES) for path in Path(folder).glob("*.txt")})
    raise UserError(f"There is no prompt template {shown(prompt)}{nearest(prompt, known)}; there are: {', '.join(known)}.")


def tags(caption):
    return [tag.strip() for tag in caption.split(",") if tag.strip()]


def vary(caption, dataset, seed, index, occurrence):
    """The caption as it is learnt at this showing: dropout, shuffle and tag dropout by the `DatasetConfig`.

    A pure function: picture number `index` gets the same words at its showing number `occurrence` in every run with that seed.
    """
    chance = randomness.rng(seed, "caption", index, occurrence)
    if chance.random() < dataset.caption_dropout_rate:
        return ""
    if not dataset.shuffle_caption and not dataset.caption_tag_dropout_rate:
        return caption
    parts = tags(caption)
    kept, loose = parts[: dataset.keep_tokens], parts[dataset.keep_tokens :]
    if dataset.shuffle_caption:
        chance.shuffle(loose)
    loose = [tag for tag in loose if chance.random() >= dataset.caption_tag_dropout_rate]
    return ", ".join(kept + loose)


def filled(lines, name, words, seed, index, occurrence):
    """A template line for this showing, with the trained name and the picture's own words put in."""
    line = randomness.rng(seed, "template", index, occurrence).choice(lines)
    return line.replace(NAME, name).replace(FILEWORDS, words)
