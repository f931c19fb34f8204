"""The import map: downwards only, and each foreign library behind one door."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "lib_sdtune").rglob("*.py"))

LEVELS = [  # a file may import from its own line and those above it
    "errors registry randomness declaration config presets prompts prompt_lines",
    "networks families optim diffusion formats ldm pages toyworld prompts prompt_lines",
    "host.base contradictions",
    "methods data host.embedded host.webui",
    "training",
    "access job_queue report",
    "services evaluation",
    "jobs",
    "app",
    "ui api cli __main__ host.webui.doors host.webui.xyz",
]
LEVEL = {f"lib_sdtune.{name}": number for number, line in enumerate(LEVELS) for name in line.split()}
LATE = {"lib_sdtune.config"}  # looks up inside functions what its choices are, so that declaring settings imports no plug-in
DOORS = {"gradio": ("lib_sdtune.ui",), "fastapi": ("lib_sdtune.api", "lib_sdtune.ui.standalone"),
         "argparse": ("lib_sdtune.__main__",), "modules": ("lib_sdtune.host.webui",)}


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """(module, whether at the file's top level) of every import; `from a import b` counts as a.b, which may be a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in tree.body) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the map"
            yield from ((f"{node.module}.{alias.name}", node in tree.body) for alias in node.names)


def place(module):
    """The longest known prefix of a module's name."""
    parts = module.split(".")
    return next((name for n in range(len(parts), 1, -1) if (name := ".".join(parts[:n])) in LEVEL), None)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_go_downwards(path):
    own = place(module_of(path))
    if own is None:
        assert module_of(path) in ("lib_sdtune", "lib_sdtune.host"), "give this file a place in LEVELS"
        return
    for name, at_top in imports(path):
        if name.startswith("lib_sdtune.") and (at_top or own not in LATE) and name != "lib_sdtune.__version__":
            assert place(name) is not None, f"{name} has no place in LEVELS"
            assert LEVEL[place(name)] <= LEVEL[own], f"{own} must not import {name}"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_foreign_libraries_have_one_door(path):
    for name, _ in imports(path):
        doors = DOORS.get(name.split(".")[0])
        assert doors is None or module_of(path).startswith(doors), f"{name} belongs into {' or '.join(doors)}"


@pytest.mark.parametrize("door", ["lib_sdtune.app", "lib_sdtune.api.router", "lib_sdtune.ui.door", "lib_sdtune.__main__"])
def test_starting_is_cheap(door):
    """What the WebUI imports at its start loads no torch of ours; a broken torch must leave a tab that says so."""
    if not any(module_of(path) == door for path in FILES):
        pytest.skip(f"{door} is not there")
    code = f"import sys, {door}; sys.exit(sum(name in sys.modules for name in ('torch', 'PIL', 'numpy', 'safetensors')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
