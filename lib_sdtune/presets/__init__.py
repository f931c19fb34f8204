"""Settings that suit a purpose and a model; a JSON file in this folder is a preset."""

import json
from pathlib import Path

from lib_sdtune.errors import UserError
from lib_sdtune.registry import nearest

FOLDER = Path(__file__).parent


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name: str) -> dict:
    """{"title", "for", "family", "settings"}: `settings` is nested as a config, to lay under what the user says."""
    if name not in names():
        raise UserError(f"There is no preset called {name!r}{nearest(name, names())}; there are: {', '.join(names())}.")
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
