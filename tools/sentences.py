"""Writes lib_sdtune/sentences.json: every constant sentence in the source that a page may show, blanks numbered.

    python tools/sentences.py
"""

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lib_sdtune"
UNSEEN = ("cli", "__main__.py", "toyworld", "presets", "pages", "report.py")  # on a console or a page of its own
# with what else there is to say behind it, or the reason
SENTENCE = re.compile(r"[.!?]$|[.!?] .*\}$|[.!?]\{\d+\}$|^[A-Z{].*: \{\d+\}$", re.DOTALL)
BLANK = "\0"  # while a template is put together
FORMATTED = re.compile(r"%[sdr]|\{\w*(?:![rs])?(?::[^{}]*)?\}")  # the blanks of logging and of str.format
MIN_WORDS = 3  # words of its own that tell a sentence from others
LISTS = "settings_import"  # its texts stand behind the settings that they are about, and need not be sentences
PLAIN_WORD = re.compile(r"""(?<!\S)["(]?[A-Za-z'-]{2,}[",.;:)]*(?!\S)""")
PHRASES = "PHRASES"  # the name of a tuple of shorter texts with blanks that are said too
PHRASE = "phrase"  # the function that marks one where it is written


def found() -> list[str]:
    """The templates, in the order of the files."""
    paths = (path for path in sorted(PACKAGE.rglob("*.py"))
             if not path.relative_to(PACKAGE).as_posix().startswith(UNSEEN))
    return list(dict.fromkeys(text for path in paths for text in sentences(
        ast.parse(path.read_text(encoding="utf-8")), is_remark if LISTS in path.parts else is_sentence)))


def sentences(node: ast.AST, is_said: Callable[[str], bool]) -> Iterator[str]:
    """The templates inside a piece of code, docstrings left out."""
    text = template(node)
    if text is not None:
        if is_said(text):
            yield text.strip()
        return
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == PHRASE and (marked := template(node.args[0])):
        yield marked
        return
    if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == PHRASES:
        yield from ast.literal_eval(node.value)
        return
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            is_docstring = name == "body" and isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            if isinstance(child, ast.AST) and not is_docstring:
                yield from sentences(child, is_said)


def template(node: ast.AST) -> str | None:
    """A constant text, an f-string, or several put together, with {1}, {2}, … for its blanks; None for other code."""
    parts = pieces(node)
    if parts is None:
        return None
    text = "".join(BLANK if part is None else FORMATTED.sub(BLANK, part) for part in parts)
    numbers = iter(range(1, text.count(BLANK) + 1))
    return re.sub(BLANK, lambda blank: f"{{{next(numbers)}}}", text)


def pieces(node: ast.AST) -> list[str | None] | None:
    """The texts of an expression, None for each blank; None for what is no text."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return [part.value if isinstance(part, ast.Constant) else None for part in node.values]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = pieces(node.left), pieces(node.right)
        return None if left is None and right is None else [*(left or [None]), *(right or [None])]
    return None


def is_sentence(text: str) -> bool:
    words = re.findall(r"(?<!\S)[\"(]?[A-Za-z']{2,}", re.sub(r"\{\d+\}", "", text))
    text = text.strip()
    return bool(SENTENCE.search(text)) and len(words) >= MIN_WORDS and "\n" not in text and "<" not in text


def is_remark(text: str) -> bool:
    """Whether it is a sentence, or says something about a setting: two words, at least."""
    return is_sentence(text) or len(PLAIN_WORD.findall(text)) >= 2 and not re.search(r"[\n|<]", text)


if __name__ == "__main__":
    lines = json.dumps(found(), ensure_ascii=False, indent=1)
    (PACKAGE / "sentences.json").write_text(lines + "\n", encoding="utf-8")
