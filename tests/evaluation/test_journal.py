"""Taking a publication back: after a move, after changes by the user, after a crash; all of it or nothing."""

import json
import shutil

import pytest

from lib_sdtune.errors import RunError, UserError
from lib_sdtune.evaluation import candidates, journal, publish
from lib_sdtune.training.runs import RunFolder
from tests.hosts import TinyHost, pictures, settings, train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The data folder of a host with one finished run of three saved files, with cards and previews."""
    place = tmp_path_factory.mktemp("trained")
    images = pictures(place / "2_ron", 1)
    train(TinyHost(place / "data"), settings(images, train={"max_train_steps": 3}, save={"every_n_steps": 1},
                                             sample={"every_n_steps": 1, "width": 64, "height": 64}))
    return place / "data"


@pytest.fixture
def place(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "data")
    status = tmp_path / "data/sdtune/runs/ron/status.json"
    status.write_text(status.read_text().replace(str(trained), str(tmp_path / "data")))
    return tmp_path / "data"


def opened(place):
    return TinyHost(place), RunFolder(place / "sdtune/runs/ron")


def contents(place):
    files = [path for path in (place / "models/Lora").rglob("*") if path.is_file()]
    return {path.name: path.read_bytes() for path in files}


def published(place, file="ron-step00000001"):
    before = contents(place)
    publish.publish(*opened(place), file, 0.7)
    return before


@pytest.mark.parametrize("file", ["ron-step00000001", "ron"])
@pytest.mark.parametrize("old", [False, True], ids=["relative", "absolute paths of an earlier version"])
def test_after_the_folder_was_moved(place, tmp_path, file, old):
    before = published(place, file)
    if old:
        make_absolute(place)
    place = place.rename(tmp_path / "moved")
    host, run = opened(place)
    assert publish.remaining(host, run, run.status()["artefacts"])["artefacts"] == [str(place / "models/Lora/ron.safetensors")]
    undone = publish.undo(host, run)
    assert undone["files"] == ["ron-step00000001.safetensors", "ron-step00000002.safetensors", "ron.safetensors"] and undone["kept"] == []
    assert contents(place) == before and not (run.path / journal.FILE).exists() and not (run.path / journal.SWEPT).exists()


def test_a_copy_of_the_folder_does_not_reach_for_the_original(place, tmp_path):
    before = published(place)
    make_absolute(place)
    shutil.copytree(place, tmp_path / "copy")
    after = contents(place)
    publish.undo(*opened(tmp_path / "copy"))
    assert contents(tmp_path / "copy") == before and contents(place) == after


def make_absolute(place):
    """The journal as earlier versions wrote it."""
    file = place / "sdtune/runs/ron" / journal.FILE
    steps = json.loads(file.read_text())
    for step in steps:
        for key in ("moved", "to", "made"):
            if key in step:
                head, _, rest = step[key].partition("/")
                step[key] = str(place / ("sdtune/runs/ron" if head == "run" else "models/Lora") / rest)
        for key in ("fingerprint", "complete"):
            step.pop(key, None)
        if "published" in step:
            step["published"]["path"] = str(place / "models/Lora/ron.safetensors")
    file.write_text(json.dumps(steps))


@pytest.mark.parametrize("file", ["ron-step00000001", "ron"])
def test_what_the_user_made_since_is_kept_and_named(place, file):
    before = published(place, file)
    lora = place / "models/Lora"
    (lora / "ron.json").write_text('{"notes": "my words"}')
    (lora / "ron.preview.png").write_bytes(b"my preview")
    undone = publish.undo(*opened(place))
    after = contents(place)
    assert after["ron.json"] == b'{"notes": "my words"}' and after["ron.preview.png"] == b"my preview"
    assert after["ron.json.bak"] == before["ron.json"] and after["ron.preview.png.bak"] == before["ron.preview.png"]
    assert {name: data for name, data in after.items() if "ron.json" not in name and "ron.preview" not in name} == {
        name: data for name, data in before.items() if name not in ("ron.json", "ron.preview.png")}
    assert sorted(undone["kept"]) == ["ron.json", "ron.preview.png"]


def test_another_model_file_of_that_name_is_kept_under_another_one(place):
    before = published(place)
    lora = place / "models/Lora"
    (lora / "ron.safetensors").write_bytes(b"from somebody else")
    (lora / "ron-step00000002.safetensors").write_bytes(b"mine too")
    undone = publish.undo(*opened(place))
    after = contents(place)
    assert after["ron.safetensors"] == before["ron.safetensors"] and after["ron-step00000002.safetensors"] == before["ron-step00000002.safetensors"]
    assert after["ron-kept.safetensors"] == b"from somebody else" and after["ron-step00000002-kept.safetensors"] == b"mine too"
    assert sorted(undone["kept"]) == ["ron-kept.safetensors", "ron-step00000002-kept.safetensors"]


def test_what_is_missing_is_named_before_anything_is_changed(place):
    published(place)
    host, run = opened(place)
    (run.path / journal.SWEPT / "ron.safetensors").unlink()
    after, swept = contents(place), sorted(path.name for path in (run.path / journal.SWEPT).iterdir())
    with pytest.raises(UserError, match=r"ron\.safetensors"):
        publish.undo(host, run)
    assert contents(place) == after and sorted(path.name for path in (run.path / journal.SWEPT).iterdir()) == swept
    assert (run.path / journal.FILE).exists()


def test_a_damaged_journal_is_told_and_left(place):
    published(place)
    host, run = opened(place)
    for text in ("", "null", "[3]", '{"a": 1}', '[{"moved": 3, "to": 4}]', '[{"made": "run/../../../x"}]'):
        (run.path / journal.FILE).write_text(text)
        after = contents(place)
        with pytest.raises(UserError, match="damaged"):
            publish.undo(host, run)
        assert contents(place) == after and (run.path / journal.FILE).read_text() == text


def test_all_or_nothing_and_a_second_try(place, monkeypatch):
    before = published(place)
    host, run = opened(place)
    after, count, rename = contents(place), [], journal.rename
    for stop in range(1, 30):
        count.clear()

        def failing(source, target, stop=stop):
            count.append(source)
            if len(count) == stop:
                raise OSError(5, "Input/output error")
            rename(source, target)

        monkeypatch.setattr(journal, "rename", failing)
        try:
            publish.undo(host, run)
            break
        except RunError as error:
            assert "Input/output error" in str(error)
            assert contents(place) == after and (run.path / journal.FILE).exists()
    assert stop > 5 and contents(place) == before


def test_cut_off_anywhere_it_can_be_taken_back_again(place, tmp_path, monkeypatch):
    before = published(place)
    rename = journal.rename
    for stop in range(1, 30):
        copy = shutil.copytree(place, tmp_path / f"cut-{stop}")
        count = []

        def killed(source, target, stop=stop, count=count):
            count.append(source)
            if len(count) >= stop:
                raise KeyboardInterrupt
            rename(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(journal, "rename", killed)
            patch.setattr(journal, "roll_back", lambda moves: None)
            try:
                publish.undo(*opened(copy))
                break
            except KeyboardInterrupt:
                pass
        publish.undo(*opened(copy))
        assert contents(copy) == before
    assert stop > 5


def test_a_publication_that_was_cut_off_is_undone(place, monkeypatch):
    before, host = contents(place), TinyHost(place)
    write_card = publish.write_card

    def killed(*args):
        write_card(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(publish, "write_card", killed)
    with pytest.raises(KeyboardInterrupt):
        publish.publish(host, opened(place)[1], "ron-step00000001", 0.7)
    assert contents(place) != before and publish.undo(*opened(place))["kept"] == []
    assert contents(place) == before


class SubfolderHost(TinyHost):
    """Its settings send new LoRAs to a sub-folder."""

    subfolder = "new"

    def folder(self, kind):
        return super().folder(kind) / self.subfolder if kind == "lora" else super().folder(kind)

    def roots(self, kind):
        return [TinyHost.folder(self, kind)]


@pytest.mark.parametrize("moved", [False, True], ids=["where they were written", "moved by hand"])
def test_files_are_found_after_the_output_sub_folder_was_changed(place, moved):
    lora = place / "models/Lora"
    if moved:
        shutil.copytree(lora, lora / "mine")
        for path in lora.glob("*.*"):
            path.unlink()
    (lora / "new").mkdir()
    (lora / "new/ron-step00000001.safetensors").write_bytes(b"other")
    host, run = SubfolderHost(place), RunFolder(place / "sdtune/runs/ron")
    folder = lora / "mine" if moved else lora
    assert [candidate.path for candidate in candidates.of_run(host, run)] == [
        folder / f"{stem}.safetensors" for stem in ("ron-step00000001", "ron-step00000002", "ron")]
    before = {path: path.read_bytes() for path in lora.rglob("*.*")}
    publish.publish(host, run, "ron-step00000001", 0.7)
    assert (folder / "ron.safetensors").exists() and not (folder / "ron-step00000001.safetensors").exists()
    publish.undo(host, run)
    assert {path: path.read_bytes() for path in lora.rglob("*.*")} == before
