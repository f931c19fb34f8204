"""Settings that nobody means, as a file, on the command line, and handed over: refused in a sentence, or good for a run."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lib_sdtune.cli.settings import assign, read
from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.methods import registry as methods
from lib_sdtune.services.context import ServiceContext
from lib_sdtune.services.submission import check_config, read_config
from tests.fuzz import hostile
from tests.hosts import TinyHost, pictures, settings


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with pictures, a host, and what a check needs."""
    folder = tmp_path_factory.mktemp("configs")
    pictures(folder / "10_ron", count=2)
    host = TinyHost(folder / "data")
    return folder, ServiceContext(lambda: host)


def config_of(folder, method):
    complete = Config.from_dict(settings(folder / "10_ron", method=method)).to_dict()
    return complete | {name: None for name in methods.names() if name != method}


def checked(place, data):
    """The config, checked as Start checks it; None where it was refused in a sentence. Neither writes anything."""
    folder, context = place
    before = hostile.tree(folder)
    try:
        config = read_config(data, context.host)
        check_config(config, context)
        json.dumps(config.to_dict(), allow_nan=False, ensure_ascii=False).encode()
    except UserError as error:
        config = None
        assert hostile.is_sentence(str(error)), error
    assert hostile.tree(folder) == before
    return config


FOLDER = Path("/nowhere/but/here")


@st.composite
def configs(draw):
    """A config of any method with hostile values; its pictures lie in `FOLDER`."""
    method = draw(st.sampled_from(methods.names()))
    base = {key: value for key, value in config_of(FOLDER, method).items() if value is not None}
    return draw(hostile.mutated(base))


def moved(data, folder):
    """The data with the placeholder folder replaced by a real one."""
    if isinstance(data, dict):
        return {key: moved(value, folder) for key, value in data.items()}
    if isinstance(data, list):
        return [moved(value, folder) for value in data]
    return data.replace(str(FOLDER), str(folder)) if isinstance(data, str) else data


@given(configs())
@example({"name": "x", "concepts": [{"images": str(FOLDER / "10_ron"), "repeats": 10**30}]})
@example({"name": "x", "concepts": [{"images": str(FOLDER / "10_ron")}], "lora": {"unet_lr": "1e-4" + " " * 30_000 + "x"}})
def test_settings_handed_over(place, data):
    checked(place, moved(data, place[0]))


@given(configs())
@example({str(number): 1 for number in range(60_000)})
@example({"x" * 10_000_000: 1})
def test_settings_as_a_file(place, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "run.json"
    path.write_text(json.dumps(moved(data, place[0])))
    try:
        read(path)
    except UserError as error:
        assert hostile.is_sentence(str(error)), error


@given(st.one_of(st.text(max_size=40), st.builds("{}={}".format, st.sampled_from(
    ["train.seed", "concepts.0.images", "concepts[0].repeats", "lora.unet_lr", "sample.prompts", "x.y", "concepts.99999999999", "a" * 500]),
    st.one_of(st.sampled_from(hostile.LONG), st.text(max_size=20), hostile.values.map(str)))))
@example(".".join("a" * 5000) + "=1")
@example("concepts." + "9" * 5000 + ".images=x")
@example("sample.prompts=" + "[" * 50_000)
@example("train.seed=" + "9" * 5000)
def test_settings_on_the_command_line(place, assignment):
    data = {"name": "ron", "concepts": [{"images": str(place[0] / "10_ron")}]}
    try:
        assign(data, assignment)
    except UserError as error:
        assert hostile.is_sentence(str(error)), error
    else:
        checked(place, data)


def test_settings_without_end(place):
    data = {"name": "ron", "concepts": hostile.nested()}
    assert checked(place, data) is None and checked(place, hostile.nested()) is None
