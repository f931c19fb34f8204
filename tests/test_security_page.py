"""SECURITY.md names the tests that hold its promises, and the options that open a door: they are there."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = [code.replace("\n", " ").split() for code in re.findall(r"`([^`]+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))]
THE_WEBUIS_OWN = {"--listen", "--share", "--ngrok", "--server-name", "--gradio-auth", "--api-auth"}


def test_the_tests_that_it_names_are_there():
    paths = [word for words in CODE for word in words if "/" in word]
    assert len(paths) >= 5 and [path for path in paths if not (ROOT / path).exists()] == []
    modules = [words[2] for words in CODE if words[:2] == ["python", "-m"]]
    assert modules and all(importlib.util.find_spec(module) for module in modules)


def test_the_options_that_it_names_are_declared():
    options = {word for words in CODE for word in words if word.startswith("--")} - THE_WEBUIS_OWN
    declarations = "".join((ROOT / path).read_text(encoding="utf-8") for path in ("preload.py", "tests/conftest.py", "benchmarks/kill.py"))
    assert options and [option for option in sorted(options) if f'"{option}"' not in declarations] == []
