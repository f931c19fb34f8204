"""The README is true: its table is the declaration's, its commands exist, its paths are there."""

import importlib.util
import re
import shlex

import pytest

from lib_sdtune.__main__ import parser
from tests.test_architecture import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands():
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("python")]


def test_the_settings_are_those_of_the_declaration():
    spec = importlib.util.spec_from_file_location("update_readme", ROOT / "tools" / "update_readme.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.updated(README) == README, "run python tools/update_readme.py"


@pytest.mark.parametrize("line", [line for line in commands() if "-m lib_sdtune" in line])
def test_commands_parse(line):
    argv = shlex.split(line, comments=True)[3:]
    parser(argv).parse_args(argv)


def test_other_commands_name_files_that_are_there():
    files = [shlex.split(line)[1] for line in commands() if "-m" not in line]
    assert files and all((ROOT / file).is_file() for file in files)


def test_pictures_and_links_are_there():
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if "://" not in target]
    assert targets
    for target in targets:
        assert (ROOT / target).is_file(), target


def test_the_map_names_what_is_there():
    block = re.search(r"## Map of the code\n\n```\n(.*?)```", README, re.DOTALL)[1]
    for line in block.splitlines():
        for name in re.match(r" *((?:[\w./]+ )+)", line + " ")[1].split():
            inside = "lib_sdtune/" if line.startswith(" ") else ""
            assert (ROOT / inside / name).exists(), name
