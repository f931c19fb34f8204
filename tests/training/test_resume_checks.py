"""What may be another in a run that is resumed, and what is refused."""

import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lib_sdtune.config import Config
from lib_sdtune.data.scan import Picture, Scan
from lib_sdtune.errors import UserError
from lib_sdtune.training import resume_checks

SETTINGS = Config.from_dict({"name": "ron", "concepts": [{"images": "x"}], "train": {"max_train_steps": 100}}).to_dict()
FREE = {"save", "sample", "overwrite", "train.stop"}  # what the rest of the run is written and shown by, and how it ends
KEYS = sorted(f"{section}.{key}" if isinstance(values, dict) else section
              for section, values in SETTINGS.items() for key in (values if isinstance(values, dict) else [""]))


def changed(key, value):
    settings, (section, _, inner) = copy.deepcopy(SETTINGS), key.partition(".")
    (settings[section] if inner else settings)[inner or section] = value
    return settings


def value_of(key):
    section, _, inner = key.partition(".")
    return SETTINGS[section][inner] if inner else SETTINGS[section]


def test_whatever_the_steps_depend_on_must_stay():
    """Of all settings that there are."""
    assert len(KEYS) > 100
    for key in KEYS:
        grows = key in ("train.max_train_steps", "train.max_train_epochs")
        now = changed(key, value_of(key) - 1 if grows else "another")
        if FREE & {key, key.partition(".")[0]}:
            resume_checks.refuse_changes(SETTINGS, now)
            continue
        for before, after in ((SETTINGS, now), *([] if grows else [(now, SETTINGS)])):
            with pytest.raises(UserError, match=f'^"{key}" was .* when the run began and is .* now'):
                resume_checks.refuse_changes(before, after)


def test_a_setting_of_another_version_that_is_gone_or_new_is_refused_too():
    more = changed("noise.invented", 1)
    for before, now in ((more, SETTINGS), (SETTINGS, more)):
        with pytest.raises(UserError, match='"noise.invented"'):
            resume_checks.refuse_changes(before, now)


@pytest.mark.parametrize(("old", "new", "grows"), [(100, 200, True), (100, 50, False), (100, 0, False), (0, 100, False)])
@pytest.mark.parametrize("key", ["train.max_train_steps", "train.max_train_epochs"])
def test_a_run_may_become_longer_where_its_length_was_set(key, old, new, grows):
    """0 is no shortest run but another way to count, whose schedule was another."""
    before, now = changed(key, old), changed(key, new)
    if grows:
        return resume_checks.refuse_changes(before, now)
    with pytest.raises(UserError, match=f'"{key}" was {old} when the run began and is {new} now'):
        resume_checks.refuse_changes(before, now)


def scan(templates=None, **changes):
    picture = Picture(Path("a.png"), 64, 64, "a cat", "file", "content", 2, False, 1.0, 0, "folder")
    result = Scan([replace(picture, **changes)])
    result.templates = templates or {}
    return result


@pytest.mark.parametrize("changes", [{"content": "other"}, {"repeats": 3}, {"is_class": True}, {"concept": 1},
                                     {"mask": SimpleNamespace(content="mask")}])
def test_other_pictures_are_refused(changes):
    before, now = (resume_checks.data_fingerprint(each) for each in (scan(), scan(**changes)))
    with pytest.raises(UserError, match="pictures are not those"):
        resume_checks.refuse_other_data(before, now)


@pytest.mark.parametrize("changes", [{"caption": "a dog"}, {"templates": {0: ["a photo of {}"]}}])
def test_other_words_are_told_and_the_run_goes_on(changes, caplog):
    before, now = (resume_checks.data_fingerprint(each) for each in (scan(), scan(**changes)))
    resume_checks.refuse_other_data(before, now)
    assert "captions have changed" in caplog.text


def test_pictures_of_another_place_are_the_same(caplog):
    before, now = (resume_checks.data_fingerprint(each) for each in (scan(), scan(path=Path("b/a.png"), folder="b")))
    resume_checks.refuse_other_data(before, now)
    assert before == now and not caplog.text


@pytest.mark.parametrize(("before", "now", "refused"), [("1", "1", False), ("1", "2", True), ("", "2", False), ("1", "", False)])
def test_another_checkpoint_is_refused_where_both_are_known(before, now, refused):
    models = [{"name": "model", "hash": known} for known in (before, now)]
    if not refused:
        return resume_checks.refuse_other_model(*models)
    with pytest.raises(UserError, match=r"begun on model \[1\], and this is model \[2\]"):
        resume_checks.refuse_other_model(*models)


def test_a_caption_of_a_measured_picture_tells_it_from_another():
    keys = {resume_checks.validation_key(each, [0]) for each in (scan(), scan(caption="a dog"), scan(content="other"))}
    assert len(keys) == 3 and resume_checks.validation_key(scan(repeats=9), [0]) in keys
