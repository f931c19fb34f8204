"""The flat table of sd-scripts' options against CONFIG: what it promises is there, and what is called alike is the same."""

import dataclasses

import pytest

from lib_sdtune.config import Config
from lib_sdtune.sections.concept import Concept
from lib_sdtune.settings_import.onetrainer import OPTIONS as ONE_TRAINER
from lib_sdtune.settings_import.sd_scripts.options import OPTIONS, OTHERS


def paths():
    """Every setting of CONFIG, as "train.seed"."""
    for field in dataclasses.fields(Config):
        section = field.metadata.get("section")
        yield field.name
        if section:
            yield f"{field.name}.*"
            yield from (f"{field.name}.{inner.name}" for inner in dataclasses.fields(section))
    yield "concepts[]"
    yield from (f"concepts[].{field.name}" for field in dataclasses.fields(Concept))


@pytest.mark.parametrize("option", [*OPTIONS, *OTHERS, *ONE_TRAINER], ids=lambda option: option.name)
def test_a_row(option):
    known = set(paths())
    assert all(path in known for path in option.to.split(", ") if path)
    assert option.to or option.how, "say what it did"
    assert option.default is None or option.kind is list or option.read(option.default) == option.default


def test_no_option_has_two_rows():
    names = [option.name for option in (*OPTIONS, *OTHERS)]
    assert len(names) == len(set(names))


def test_a_setting_called_as_there_has_its_row():
    """An option that CONFIG takes over later, under the same name, must not stay "deliberately not"."""
    here = {path.rpartition(".")[2] for path in paths()}
    assert [option.name for option in OPTIONS if not option.to and option.name in here] == []
