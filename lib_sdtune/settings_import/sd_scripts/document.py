"""The table of docs/sd-scripts-options.md: every option of sd-scripts' three scripts, and what it is here."""

from lib_sdtune.settings_import.option import Option
from lib_sdtune.settings_import.sd_scripts.options import OPTIONS

SCRIPTS = {"n": "network", "d": "db", "t": "textual inversion"}


def table() -> str:
    """Rows in Markdown, in the order of the options' names."""
    rows = [row(option) for option in sorted(OPTIONS, key=lambda option: option.name)]
    return "\n".join(["| option | scripts | default there | here | |", "|---|---|---|---|---|", *rows])


def row(option: Option) -> str:
    scripts = "all" if option.scripts == "ndt" else ", ".join(SCRIPTS[letter] for letter in option.scripts)
    default = "" if option.default in (None, "") else f"`{option.default}`"
    here = ", ".join(f"`{path}`" for path in option.to.split(", ")) if option.to else "deliberately not"
    same = option.to.rpartition(".")[2] == option.name and not option.how
    how = escaped("same" if same else option.how or "another name")
    return f"| `{option.name}` | {scripts} | {default} | {here} | {how} |"


def escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
