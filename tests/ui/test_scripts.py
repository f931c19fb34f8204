"""The page's scripts without a browser: they parse, they stay short, and the elements they ask for exist."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lib_sdtune.ui import pictures_page
from lib_sdtune.ui.context import TabContext
from lib_sdtune.ui.tab import build
from tests.ui.strings import on_one_line

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "javascript").glob("*.js"))
NODE = shutil.which("node")
NAME = r"['`]((?:[a-z0-9_]|\$\{[^}]*\})+)['`](?! *\+)"  # whole names only: what is put together is known when the page runs
MAKES = rf"\b(?:action|note|bar|labelled)\({NAME}"
ASKS = rf"(?<!\.)\bcontrols(?:\(\))?\.(?:say|value|set|progress)\({NAME}"
FULL = r"\b(?:byId|show|text|getElementById)\('(sdtune_[a-z0-9_]+)'(?! *\+)|'#(sdtune_[a-z0-9_]+)[' >:.]"


def code():
    return {path.name: on_one_line(path.read_text(encoding="utf-8")) for path in SCRIPTS}


def made():
    """ids of everything that the server or a script puts on the page."""
    ids = {str(block.elem_id) for block in build(TabContext(home="webui")).blocks.values() if block.elem_id}
    panel = (ROOT / "lib_sdtune/ui/panel.html").read_text(encoding="utf-8")
    pages = [panel, *(str(block.value) for block in build(TabContext(home="webui")).blocks.values() if hasattr(block, "value"))]
    ids |= {name for page in pages for name in re.findall(r'\bid="(sdtune_[a-z0-9_]+)"', page)}
    ids |= {f"sdtune_prepare_{field['name']}" for field in pictures_page.facts()["prepare"]}
    for text in code().values():
        ids |= {f"sdtune_{name}" for name in re.findall(MAKES, text)} | set(re.findall(r"\bid: '(sdtune_[a-z0-9_]+)'", text))
    return ids


def asked():
    """(script, id) of every element that a script asks for by its whole name."""
    for script, text in code().items():
        yield from ((script, f"sdtune_{name}") for name in re.findall(ASKS, text) if "$" not in name)
        yield from ((script, own or full) for own, full in re.findall(FULL, text))


def test_scripts_ask_only_for_what_is_there():
    ids, asked_for = made(), set(asked())
    assert len(asked_for) > 80 and {script for script, _ in asked_for} >= {"sdtune_captions.js", "sdtune_prepare.js", "sdtune_class_pictures.js"}
    families = {script: tuple(re.findall(r"\bid: '(sdtune_[a-z]+_)' *\+", text)) for script, text in code().items()}
    assert {(script, name) for script, name in asked_for if name not in ids and not name.startswith(families[script])} == set()


def test_no_id_is_made_twice():
    names = [name for text in code().values() for name in re.findall(MAKES, text) if "$" not in name]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


@pytest.mark.skipif(NODE is None, reason="no node here to read scripts with")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse(path):
    checked = subprocess.run([NODE, "--check", str(path)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_brackets_close(path):
    """A rough look that needs no program: outside of texts, expressions and comments every bracket is closed by its own kind."""
    text = re.sub(r"\\.", "", path.read_text(encoding="utf-8"))
    text = re.sub(r"/\*.*?\*/|(?<=\s)//[^\n]*|^//[^\n]*", "", text, flags=re.S | re.M)
    text = re.sub(r"(?<=[(=,:])\s*/(?:\[[^\]\n]*\]|[^/\n])+/[a-z]*", "", text)
    text = re.sub(r"'[^'\n]*'", "", text)
    opened = []
    for letter in text:
        if letter in "([{":
            opened.append(letter)
        elif letter in ")]}":
            assert opened and opened.pop() + letter in ("()", "[]", "{}")
    assert opened == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_of_one_idea_each(path):
    assert path.read_text(encoding="utf-8").count("\n") < 300
