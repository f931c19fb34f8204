"""Writes the generated parts of README.md anew: the table of settings, read off the declaration."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lib_sdtune.cli.schema import table  # noqa: E402

BEGIN, END = "<!-- settings: written by tools/update_readme.py -->\n", "<!-- end of settings -->"


def updated(text):
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(updated(readme.read_text(encoding="utf-8")), encoding="utf-8")
