"""`imported`: write files, import them together, and give CONFIG and the sentences."""

import json

import pytest

from lib_sdtune.config import Config
from lib_sdtune.settings_import.importer import import_settings


@pytest.fixture
def imported(tmp_path):
    """imported({"a.json": dict or text, ...}, images=..., name=...) -> (CONFIG, all sentences as one text).

    Every file is written; those whose name begins with "_" lie beside the others and are not named. CONFIG always has to be
    one that `Config` takes, once name and pictures are there.
    """

    def run(files, images="", name=""):
        for file_name, content in files.items():
            path = tmp_path / file_name.removeprefix("_")
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        paths = [tmp_path / file_name for file_name in files if not file_name.startswith("_")]
        result = import_settings(paths, images, name)
        complete = json.loads(json.dumps(result.config))
        complete.setdefault("name", "name")
        for concept in complete["concepts"]:
            assert "repeats" in concept
            concept.setdefault("images", "pictures")
        Config.from_dict(complete)
        return result.config, "\n".join(result.lines)

    return run
