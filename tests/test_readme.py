"""The documents are true: what is generated is up to date, commands exist, links lead somewhere, the map names what is there."""

import importlib.util
import re
import shlex

import pytest

from lib_sdtune.__main__ import parser
from tests.test_architecture import LEVELS, ROOT

PATHS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PATHS}
GENERATED = ["docs/settings.md", "docs/http-api.md", "docs/sd-scripts-options.md"]


def tool():
    spec = importlib.util.spec_from_file_location("update_docs", ROOT / "tools" / "update_docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands():
    blocks = re.findall(r"```sh\n(.*?)```", "\n".join(DOCUMENTS.values()), re.DOTALL)
    return [line.replace(".venv/bin/python", "python") for block in blocks for line in block.splitlines() if "python" in line]


def anchors(text):
    """What headings can be linked to, as GitHub calls them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_guides_contents_are_its_headings():
    guide = DOCUMENTS["docs/guide.md"]
    contents = re.findall(r"^- \[(.*)\]\(#.*\)$", guide.partition("\n## ")[0], re.MULTILINE)
    assert contents and contents == re.findall(r"^## (.*)$", guide, re.MULTILINE)


@pytest.mark.parametrize("name", GENERATED)
def test_what_is_generated_is_up_to_date(name):
    if name == "docs/http-api.md":
        pytest.importorskip("fastapi")
    assert tool().GENERATED[name](DOCUMENTS[name]) == DOCUMENTS[name], "run python tools/update_docs.py"


def test_every_route_is_described():
    rows = tool().ROW.findall(DOCUMENTS["docs/http-api.md"])
    assert len(rows) > 30
    assert [(method, path) for method, path, description in rows if not description.strip()] == []


@pytest.mark.parametrize("line", [line for line in commands() if "-m lib_sdtune" in line])
def test_commands_parse(line):
    argv = shlex.split(line, comments=True)[3:]
    parser(argv).parse_args(argv)


def test_other_commands_name_files_that_are_there():
    words = [shlex.split(line, comments=True) for line in commands() if "-m lib_sdtune" not in line]
    files = [line[1] if line[1] != "-m" else line[3] for line in words]
    assert files and all((ROOT / file).exists() for file in files)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_pictures_and_links_are_there(name):
    for target in re.findall(r"\]\(([^)]+)\)", DOCUMENTS[name]):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        path = ((ROOT / name).parent / file).resolve() if file else ROOT / name
        assert path.is_file(), target
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), target


def test_every_document_can_be_found_from_the_readme():
    linked = set(re.findall(r"\]\((?:docs/)?([\w-]+\.md)", DOCUMENTS["README.md"]))
    assert {path.name for path in PATHS} - linked == {"README.md"}


def test_modules_and_paths_in_the_text_exist():
    """`training/run.py`, `lib_sdtune/ui/panel.html`, `benchmarks.step_time` and the like, wherever they are named."""
    paths, modules = 0, 0
    for name, text in DOCUMENTS.items():
        for path in re.findall(r"`((?:[\w-]+/)+[\w-]+\.(?:py|js|html|json|css))`", text):
            if not re.search(r"\bNAME\b", path):
                paths += 1
                assert any((ROOT / base / path).is_file() for base in ("", "lib_sdtune", "tests")), f"{name}: {path}"
        for module in re.findall(r"python -m (benchmarks\.\w+)", text):
            modules += 1
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), f"{name}: {module}"
    assert paths > 20 and modules > 5


def test_the_map_names_what_is_there():
    block = re.search(r"## Map\n\n```\n(.*?)```", DOCUMENTS["docs/architecture.md"], re.DOTALL)[1]
    for line in block.splitlines():
        for name in re.match(r" *((?:[\w./]+ )+)", line + " ")[1].split():
            inside = "lib_sdtune/" if line.startswith(" ") else ""
            assert (ROOT / inside / name).exists(), name
    assert block.count("\n") > 20


def test_the_layers_are_those_that_imports_are_held_to():
    block = re.search(r"## Layers\n.*?```\n(.*?)```", DOCUMENTS["docs/architecture.md"], re.DOTALL)[1]
    layers = [set(line.partition("   ")[0].replace("/", ".").split()) for line in block.splitlines()]
    assert layers == [set(line.split()) for line in reversed(LEVELS)]


def test_every_page_script_is_in_its_map():
    names = {path.name for path in (ROOT / "javascript").glob("*.js")}
    assert names == set(re.findall(r"`(sdtune[\w]*\.js)`", DOCUMENTS["docs/page-scripts.md"]))


def test_the_readme_stays_short():
    assert DOCUMENTS["README.md"].count("\n") <= 200
