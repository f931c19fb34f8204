"""Writes the generated parts of the documents anew: settings from their declaration, the API's table from its routes.

    python tools/update_docs.py

A route's description is written by hand in docs/http-api.md and kept; a new route comes with an empty one.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

BEGIN, END = "<!-- written by tools/update_docs.py -->\n", "<!-- end of what is written by tools/update_docs.py -->"
ROW = re.compile(r"^\| `([A-Z]+)` \| `([^`]+)` \| (.*) \|$", re.MULTILINE)


def settings(text):
    """docs/settings.md with the table of what `lib_sdtune.config` declares."""
    from lib_sdtune.cli.schema import table

    return between(text, table())


def http_api(text):
    """docs/http-api.md with a row for every route, in the order in which they are registered."""
    descriptions = {(method, path): description for method, path, description in ROW.findall(text)}
    rows = [f"| `{method}` | `{path}` | {descriptions.get((method, path), '')} |" for method, path in routes()]
    return between(text, "\n".join(["| | | |", "|---|---|---|", *rows]))


def routes():
    """(method, path below /sdtune/v1) of every route."""
    from unittest.mock import MagicMock

    from fastapi import FastAPI

    from lib_sdtune.api.router import PREFIX, attach

    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    attach(server, MagicMock())
    return [(method, route.path.removeprefix(PREFIX)) for route in server.routes
            for method in sorted(route.methods - {"HEAD"})]


def between(text, table):
    """`text` with `table` between its marks."""
    before, after = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table}\n\n{END}{after.split(END)[1]}"


def sd_scripts_options(text):
    """docs/sd-scripts-options.md with a row for every option of sd-scripts."""
    from lib_sdtune.settings_import.sd_scripts.document import table

    return between(text, table())


GENERATED = {"docs/settings.md": settings, "docs/http-api.md": http_api,
             "docs/sd-scripts-options.md": sd_scripts_options}

if __name__ == "__main__":
    for name, write in GENERATED.items():
        path = ROOT / name
        path.write_text(write(path.read_text(encoding="utf-8")), encoding="utf-8")
