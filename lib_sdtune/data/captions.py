"""Captions: where a picture's words come from."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from lib_sdtune import randomness
from lib_sdtune.data import text
from lib_sdtune.data.example import PictureFile
from lib_sdtune.data.kinds import caption_ending
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.data.text import COMMAS
from lib_sdtune.errors import UserError, system_reason
from lib_sdtune.formats.paths import exists
from lib_sdtune.registry import nearest
from lib_sdtune.sections.concept import names_template

EXTENSIONS = (".txt", ".caption")
# A number in front of a file name, but no digits of a word: "01-red hat", "2024-05-01 hat", "007hat", not "1girl"
LEADING = re.compile(r"^(?:[-_\s]*(?:\d+(?=[-_\s.,()]|$)|0\d+))*[-_\s.,]*")
FILEWORDS, NAME = "[filewords]", "[name]"
WORDLESS = re.compile(rf"(,\s*)?{re.escape(FILEWORDS)}")  # with the comma that would be left without words
BUNDLED_TEMPLATES = Path(__file__).parent / "templates"  # subject, subject_filewords, style, style_filewords


def caption_of(file: PictureFile, prompt: str, extension: str, problems: list[Problem],
               templated: bool = False, all_lines: bool = False) -> tuple[str, str]:
    """(caption, where it comes from) of one picture: its text file, the concept's prompt, its folder's or its own name.

    templated: these are words for a template's [filewords], which the folder's name is none of. all_lines: as
    `from_file` has it.

    Where from: "file", "prompt", "folder" (`10_name`), "name" or "none".
    """
    written = from_file(file, extension, problems, all_lines) or file.metadata_caption
    if written:
        return written, "file"
    if prompt:
        return prompt, "prompt"
    if file.words and not templated:
        return file.words, "folder"
    words = from_name(file.path)
    return (words, "name") if words else ("", "none")


def from_file(file: PictureFile, extension: str, problems: list[Problem], all_lines: bool = False) -> str:
    """The first line of the caption file that says something, or ""; with `all_lines` each of them."""
    path = caption_file(file.texts, extension)
    if path is None:
        return ""
    for other in file.texts.values():
        if other != path:
            problems.append(Problem(other, f"{printable(other.name)} is not used, because {printable(path.name)} is "
                                           "the caption of the same picture.", False, "caption not used"))
    try:
        content, encoding = text.read(path)
    except OSError as error:
        problems.append(Problem(path, f"The caption {printable(path.name)} can't be read ({system_reason(error)}).",
                                False, "caption unreadable"))
        return ""
    if encoding != "utf-8":
        problems.append(Problem(path, f"The caption {printable(path.name)} is not UTF-8; it was read as {encoding}. "
                                      "Save it as UTF-8 to be sure.", False, "caption not UTF-8"))
    if text.is_cut(path):
        problems.append(Problem(path, f"The caption {printable(path.name)} is larger than 64 KiB; only its beginning "
                                      "is read. Shorten it.", False, "caption too long"))
    lines = [line.strip() for line in content.split("\n") if not text.is_blank(line)]
    if not lines:
        problems.append(Problem(path, f"The caption {printable(path.name)} is empty.", False, "caption empty"))
    elif len(lines) > 1 and all_lines:
        return "\n".join(lines)
    elif len(lines) > 1:
        problems.append(Problem(path, f"The caption {printable(path.name)} has {len(lines)} lines; "
                                      "only the first is used.", False, "caption lines"))
    return lines[0] if lines else ""


def affixed(caption: str, prefix: str, suffix: str) -> str:
    """The caption between them, with blanks; each line of it, where there are several to choose from."""
    lines = caption.split("\n")
    return "\n".join(" ".join(part for part in (prefix, line, suffix) if part) for line in lines)


def caption_file(texts: dict[str, Path], extension: str) -> Path | None:
    """A picture's caption file of `PictureFile.texts`: the configured extension first, then the usual ones."""
    return next((texts[suffix] for suffix in (caption_ending(extension), *EXTENSIONS) if suffix in texts), None)


def from_name(path: Path | str) -> str:
    """Words of a file name: digits and dashes in front are a number, underscores spaces; "" if no letter is left."""
    words = LEADING.sub("", printable(Path(path).stem)).replace("_", " ").strip()
    return words if any(letter.isalpha() for letter in words) else ""


def template(prompt: str, folders: Sequence[Path | str]) -> list[str] | None:
    """Lines of a template, or None if `prompt` is a plain caption. UserError if there is no such file, or it is empty.

    A prompt that ends in .txt names a template file in one of `folders` or a bundled one; one with [filewords] or
    [name] is a template of one line.
    """
    if not names_template(prompt):
        return [prompt] if FILEWORDS in prompt or NAME in prompt else None
    for folder in (*folders, BUNDLED_TEMPLATES):
        path = Path(folder) / prompt.strip()
        if exists(path) and path.is_file():
            lines = [line.strip() for line in text.read(path)[0].split("\n") if line.strip()]
            if not lines:
                raise UserError(f"The prompt template {printable(prompt)} is empty; write one prompt per line, "
                                'such as "a photo of [name]".')
            return lines
    names = sorted({path.name for folder in (*folders[1:], BUNDLED_TEMPLATES) for path in Path(folder).glob("*.txt")})
    raise UserError(f"There is no prompt template {printable(prompt)}{nearest(prompt, names)}; "
                    f"there are: {', '.join(names)}.")


def trigger_words(prompt: str, word: str, folders: Sequence[Path | str] = ()) -> str:
    """What a user types to get what was trained: the prompt without the places that each picture fills in otherwise.

    word: what [name] stands for. folders: of template files, besides those that a scan looks into. Of a template of
    several lines it is the word, or what all of them say.
    """
    try:
        lines = template(prompt, (Path.cwd(), Path.cwd() / "textual_inversion_templates", *folders))
    except (UserError, OSError):  # the file is gone
        return word
    if lines is None:
        return prompt
    texts = {WORDLESS.sub("", line).replace(NAME, word).strip(f" {COMMAS}") for line in lines}
    if len(texts) == 1:
        return texts.pop()
    return word if any(NAME in line for line in lines) else common_words(texts)


def common_words(texts: Iterable[str]) -> str:
    """The longest run of words that all of the texts have."""
    shortest, *longer = sorted((f" {' '.join(text.split())} " for text in texts), key=len)
    words = shortest.split()
    runs = [" ".join(words[start:end]) for start in range(len(words)) for end in range(start + 1, len(words) + 1)]
    common = [run for run in runs if all(f" {run} " in text for text in longer)]
    return max(common, key=len, default="").strip(f" {COMMAS}")


def tags(caption: str) -> list[str]:
    """The parts of a caption between its commas."""
    return [tag.strip() for tag in re.split(f"[{COMMAS}]", caption) if tag.strip()]


def filled(lines: Sequence[str], name: str, words: str, seed: int, index: int, occurrence: int) -> str:
    """A template line for this showing, with the trained name and the picture's own words put in."""
    line = randomness.rng(seed, "template", index, occurrence).choice(lines)
    if not words:
        line = WORDLESS.sub("", line).replace(" ,", ",").strip()
    return line.replace(NAME, name).replace(FILEWORDS, words)
