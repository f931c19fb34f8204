"""A run trains the checkpoint that it was begun on, also later, elsewhere on the disk, or not at all."""

import pytest

from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.training import base_checkpoint
from lib_sdtune.training.runs import begin
from tests.hosts import TinyHost, settings, train


class ListingHost(TinyHost):
    """A host with checkpoints in its folder, one of which is loaded."""

    def __init__(self, data_dir):
        super().__init__(data_dir)
        self.loaded = self.place("first")

    def place(self, name):
        path = self.folder("checkpoints") / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")
        return path

    def loaded_file(self):
        return self.loaded


@pytest.fixture
def host(tmp_path):
    return ListingHost(tmp_path / "data")


def test_it_is_the_loaded_one_of_the_moment_when_the_run_was_queued(host, tmp_path):
    config = Config.from_dict(settings(tmp_path))
    (folder := tmp_path / "run").mkdir()
    base_checkpoint.note(folder, config, host)
    host.loaded = host.place("second")
    first = host.folder("checkpoints") / "first.safetensors"
    assert base_checkpoint.settings(folder, config, host).checkpoint == str(first)
    base_checkpoint.note(folder, config, host)
    assert base_checkpoint.settings(folder, config, host).checkpoint == str(host.loaded)


def test_it_is_found_where_the_folder_went_and_named_where_it_is_gone(host, tmp_path):
    config = Config.from_dict(settings(tmp_path))
    (folder := tmp_path / "run").mkdir()
    base_checkpoint.note(folder, config, host)
    host.data_dir.rename(tmp_path / "elsewhere")
    host.data_dir = tmp_path / "elsewhere"
    assert base_checkpoint.settings(folder, config, host).checkpoint.startswith(str(tmp_path / "elsewhere"))
    (host.folder("checkpoints") / "first.safetensors").unlink()
    with pytest.raises(UserError, match=r"begun on first\.safetensors, which is not there"):
        base_checkpoint.settings(folder, config, host)


def test_a_run_that_is_begun_once_more_trains_what_it_was_begun_on(host, images):
    config = Config.from_dict(settings(images, train={"max_train_steps": 1}))
    first = str(host.loaded)
    begin(config, host).cancel()
    host.loaded = host.place("second")
    again = begin(config, host, restart=True)
    assert again.model_settings.checkpoint == first
    again.cancel()
    anew = begin(config, host)  # by Start
    assert anew.model_settings.checkpoint == str(host.loaded)
    anew.close()


def test_a_checkpoint_that_the_settings_name_is_not_noted(host, tmp_path):
    config = Config.from_dict(settings(tmp_path, model={"checkpoint": "mine"}))
    base_checkpoint.note(tmp_path, config, host)
    assert not (tmp_path / base_checkpoint.FILE).exists()
    assert base_checkpoint.settings(tmp_path, config, host).checkpoint == "mine"


def test_a_damaged_note_is_none(host, tmp_path):
    config = Config.from_dict(settings(tmp_path))
    for text in ("", "{", "null", '{"file": 3}'):
        (tmp_path / base_checkpoint.FILE).write_text(text)
        assert base_checkpoint.settings(tmp_path, config, host).checkpoint == ""


def test_resuming_on_another_checkpoint_is_refused_with_both_names(tmp_path, images):
    host = TinyHost(tmp_path / "data")
    host.model.name, host.model.hash = "first", "aaaa"

    def interrupt(control):
        if control.state == "training" and control.step == 2:
            control.request("interrupt")

    train(host, settings(images, train={"max_train_steps": 4}), watch=interrupt)
    host.model.name, host.model.hash = "second", "bbbb"
    with pytest.raises(UserError, match=r"begun on first \[aaaa\], and this is second \[bbbb\]"):
        train(host, settings(images, train={"max_train_steps": 4}), resume=True)
    host.model.hash = "aaaa"  # the same file under another name
    assert train(host, settings(images, train={"max_train_steps": 4}), resume=True).step == 4
