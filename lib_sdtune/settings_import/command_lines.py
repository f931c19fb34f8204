"""Command lines in scripts of three shells, read as text and never executed.

Lines go on behind ^, ` or \\ at their end. Variables that the script sets to plain values are put in their places; a
value that would have to be computed stays as it is, so that it is told and not guessed.
"""

import re
from collections.abc import Iterable
from typing import Any

CONTINUED = re.compile(r"[ \t]*[\^`\\][ \t]*\r?\n")
ASSIGNMENT = re.compile(r"""^\s*(?:export\s+|set\s+"?|\$(?:env:|global:|script:)?|local\s+|declare\s+)?"""
                        r"""([A-Za-z_]\w*)\s*=(?!=)\s*(.*?)\s*$""")
COMMENT = re.compile(r"^\s*(?:#|::|rem\b|@?echo\b)", re.IGNORECASE)
COMPUTED = re.compile(r"\$\(|`|%\w+%|\$\{?\w|\$env:")
VARIABLE = re.compile(r"%(\w+)%|\$\{(?:env:)?(\w+)\}|\$env:(\w+)|\$(\w+)")
WORD = re.compile(r"""(?:"(?:[^"]*)"|'[^']*'|[^\s"'])+""")
FLAG = re.compile(r"^--([A-Za-z][\w-]*)(?:=(.*))?$", re.DOTALL)
PLAIN = re.compile(r"""^(?:"[^"]*"|'[^']*'|\$true|\$false|[^\s"'$()*+;|&<>@{}]+)$""", re.IGNORECASE)


def lines(script: str) -> list[str]:
    """The script's lines, each whole, without comments."""
    integer = CONTINUED.sub(" ", script.replace("\r\n", "\n"))
    return [line for line in integer.split("\n") if line.strip() and not COMMENT.match(line)]


def assignments(script: str) -> dict[str, str]:
    """name -> what is assigned, with its quotes, without a comment behind it; later ones count."""
    values: dict[str, str] = {}
    for line in lines(script):
        match = ASSIGNMENT.match(line)
        if match:
            values[match[1]] = without_comment(match[2]).rstrip('"') if line.lower().lstrip().startswith('set "') else \
                without_comment(match[2])
    return values


def without_comment(text: str) -> str:
    """What stands before a # that is outside of quotes and has a blank before it."""
    quote = ""
    for position, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "#" and (position == 0 or text[position - 1].isspace()):
            return text[:position].rstrip()
    return text.rstrip().rstrip(";")


def is_plain(text: str) -> bool:
    """Whether an assigned text is a value, and not something to be computed."""
    return not text or bool(PLAIN.match(text)) and not ("`" in text or "$(" in text)


def unquoted(text: str) -> str:
    return re.sub(r'"([^"]*)"|\'([^\']*)\'', lambda match: match[1] if match[1] is not None else match[2], text)


def words(line: str) -> list[str]:
    """A command line in words, as a shell parts them, without their quotes."""
    return [unquoted(word) for word in WORD.findall(line.replace(" ^", " "))]


def filled(word: str, variables: dict[str, str]) -> str:
    """A word with the variables that have plain values put in."""

    def value(match: re.Match[str]) -> str:
        text = variables.get(next(name for name in match.groups() if name))
        return unquoted(text) if text is not None and is_plain(text) else match[0]

    for _ in range(3):  # a value may name a variable itself
        word, before = VARIABLE.sub(value, word), word
        if word == before:
            break
    return word


def flags(command: Iterable[str]) -> dict[str, Any]:
    """{name: value} of --name value, --name=value and --name (true); several values are a list."""
    values: dict[str, list[str]] = {}
    name = ""
    for word in command:
        match = FLAG.match(word)
        if match and not is_number(word):
            name = match[1].replace("-", "_")
            values[name] = [] if match[2] is None else [unquoted(match[2])]
        elif name:
            values[name].append(word)
    return {key: texts if len(texts) > 1 or key.endswith("_args") else texts[0] if texts else True
            for key, texts in values.items()}


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def commands(script: str) -> list[list[str]]:
    """The command lines that start a Python program, in words."""
    variables = assignments(script)
    parted = [words(line) for line in lines(script)]
    return [[filled(word, variables) for word in command] for command in parted
            if any(program_of(word) for word in command) and any(word.startswith("--") for word in command)]


def program_of(word: str) -> str:
    """The name of the Python script that a word is, "" for other words."""
    name = word.strip().replace("\\", "/").rpartition("/")[2]
    return name.removesuffix(".py") if name.endswith(".py") else ""
