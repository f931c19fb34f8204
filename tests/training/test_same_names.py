"""Files that are there under a run's names: refused, or left alone and never taken for the run's own."""

import shutil
from unicodedata import normalize

import pytest

from lib_sdtune.artefacts import artefact_files
from lib_sdtune.errors import NameTaken, RunError, UserError
from lib_sdtune.evaluation.candidates import of_run
from lib_sdtune.failures import explain
from lib_sdtune.host.embedded import EmbeddedHost
from lib_sdtune.methods.base import Artefact
from lib_sdtune.training.runs import RunFolder, begin, folder_of
from tests.hosts import Config, TinyHost, pictures, settings, train


@pytest.fixture
def host(tmp_path):
    return TinyHost(tmp_path / "data")


@pytest.fixture
def config(tmp_path):
    images = pictures(tmp_path / "1_ron", 2)
    return lambda **changes: settings(images, **{"train": {"max_train_steps": 2}, "save": {"state_every_n_steps": 1}} | changes)


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


@pytest.mark.parametrize(("name", "remedy"), [
    ("ron.pt", 'exists already. Choose another name, or switch "overwrite" on'), ("old/ron.safetensors", "would not replace it"),
    ("old/deep/ron.ckpt", "would not replace it"), ("old/ron-000001.safetensors", "would not replace it")])
def test_a_file_of_the_name_anywhere_below_is_an_existing_file(host, config, name, remedy):
    path = put(host.folder("lora") / name)
    with pytest.raises(NameTaken, match=remedy) as caught:
        begin(Config.from_dict(config()), host)
    assert ("overwrite" in str(explain(str(caught.value))["settings"])) == ("on" in remedy.split())
    assert path.read_bytes() == b"x"


def test_overwriting_does_not_help_against_another_folder(host, config):
    put(host.folder("lora") / "old" / "ron.safetensors")
    with pytest.raises(UserError, match="old.ron.safetensors has the same name"):
        begin(Config.from_dict(config(overwrite=True)), host)


def test_the_difference_of_a_dreambooth_run_is_looked_for_as_well(host, config):
    put(host.folder("lora") / "old" / "ron.safetensors")
    changed = config(method="dreambooth", dreambooth={"lora_dim": 4})
    with pytest.raises(NameTaken):
        begin(Config.from_dict(changed), host)


@pytest.mark.parametrize(("there", "name"), [("Ron", "ron"), ("RON-000001", "ron"), (normalize("NFD", "Jürgen"), "Jürgen"), ("jürgen", normalize("NFD", "Jürgen"))])
@pytest.mark.parametrize("kind", ["lora", "checkpoints"])
def test_a_file_that_many_disks_take_for_the_runs_is_never_replaced(host, config, there, name, kind):
    path = put(host.folder(kind) / f"{there}.safetensors")
    for overwrite in (False, True):
        with pytest.raises(NameTaken, match="do not tell that name from .*choose another name"):
            begin(Config.from_dict(config(name=name, overwrite=overwrite, method={"lora": "lora", "checkpoints": "dreambooth"}[kind])), host)
    assert path.read_bytes() == b"x" and not folder_of(host, name).exists()


def test_in_another_folder_another_spelling_is_another_name(host, config):
    put(host.folder("lora") / "old" / "Ron.safetensors")
    assert begin(Config.from_dict(config()), host).close() is None


def test_where_the_disk_has_one_place_for_both_overwriting_is_what_it_says(host, config, monkeypatch):
    """A disk of Windows or macOS, as far as a question for a file goes: every spelling is there."""
    put(host.folder("lora") / "Ron.safetensors")
    (host.folder("lora") / "ron.safetensors").hardlink_to(host.folder("lora") / "Ron.safetensors")
    monkeypatch.setattr(artefact_files, "walk", lambda folder: [host.folder("lora") / "Ron.safetensors"])
    with pytest.raises(NameTaken, match='exists already.*switch "overwrite" on'):
        begin(Config.from_dict(config()), host)
    assert begin(Config.from_dict(config(overwrite=True)), host).close() is None


def test_a_run_whose_name_has_other_capitals_is_another_runs(host, config):
    train(host, config(name="Ron"))
    for path in host.folder("lora").iterdir():
        path.unlink()
    with pytest.raises(NameTaken, match="There is a run called Ron, and many disks do not tell that name from rON"):
        begin(Config.from_dict(config(name="rON", overwrite=True)), host)


def test_an_earlier_runs_files_are_kept_and_not_compared(host, config, caplog):
    folder = host.folder("lora")
    train(host, config(save={"every_n_steps": 1, "state_every_n_steps": 1}, train={"max_train_steps": 4}))
    put(folder / "ron-step00000003.json")
    train(host, config(overwrite=True, save={"every_n_steps": 1, "keep_last": 1, "state_every_n_steps": 1}, train={"max_train_steps": 3}))
    assert "ron-step00000003.safetensors is of an earlier run" in caplog.text
    names = {path.name for path in folder.glob("ron-*")}
    assert names == {"ron-step00000002.safetensors", "ron-step00000003.safetensors", "ron-step00000003.json"}
    run = RunFolder(folder_of(host, "ron"))
    assert [candidate.stem for candidate in of_run(host, run)] == ["ron-step00000002", "ron"]


def test_what_is_forgotten_takes_its_company_along(host, config):
    def add_card(control):
        for path in host.folder("lora").glob("ron-*.safetensors"):
            put(path.with_suffix(".preview.png"))

    train(host, config(save={"every_n_steps": 1, "keep_last": 1, "state_every_n_steps": 1}, train={"max_train_steps": 4}), watch=add_card)
    assert {path.name for path in host.folder("lora").glob("ron-*")} == {"ron-step00000003.safetensors", "ron-step00000003.preview.png"}


def test_a_resumed_run_still_knows_what_it_saved(host, config):
    def stop_at_two(control):
        if control.state == "training" and control.step == 2:
            control.request("stop_without_saving")

    changed = config(save={"every_n_steps": 1, "state_every_n_steps": 1}, train={"max_train_steps": 4})
    train(host, changed, watch=stop_at_two)
    control = train(host, changed, resume=True)
    assert [path.rsplit("ron", 1)[1] for path in map(str, control.artefacts)] == [
        "-step00000001.safetensors", "-step00000002.safetensors", "-step00000003.safetensors", ".safetensors"]


def test_the_host_reads_what_was_written(tmp_path):
    host = EmbeddedHost(tmp_path)
    written, other = put(host.folder("embeddings") / "sub" / "ron.pt"), put(host.folder("embeddings") / "ron.safetensors")
    with pytest.raises(RunError, match="Prompts get"):
        host.publish(Artefact(written, "embeddings", "ron"))
    shutil.move(other, tmp_path / "away.safetensors")
    host.publish(Artefact(written, "embeddings", "ron"))
