"""A picture that goes, or changes, after its folder was read: named and left out, and the run goes on with the others."""

import pytest

from lib_sdtune.data.lru_cache import LRUCache
from lib_sdtune.errors import RunError
from lib_sdtune.training import log_csv, training_data
from lib_sdtune.training.runs import folder_of
from tests.hosts import TinyHost, pictures, settings, train


def change(path):
    path.write_bytes((path.parent / "2.png").read_bytes())


@pytest.mark.parametrize(("lose", "words"), [(lambda path: path.unlink(), "can't be opened"), (change, "was changed")], ids=["gone", "changed"])
def test_between_reading_and_encoding(tmp_path, monkeypatch, lose, words):
    images, host = pictures(tmp_path / "10_ron"), TinyHost(tmp_path / "data")
    monkeypatch.setattr(training_data, "refuse_wordless", lambda scan: lose(images / "1.png"))
    control = train(host, settings(images))
    text = (folder_of(host, "ron") / "run.log").read_text(encoding="utf-8")
    assert control.state == "finished" and control.step == 6
    assert f"1.png {words}" in text and "It is left out." in text and "An epoch now has 20 examples in place of 30." in text


@pytest.mark.parametrize("method", ["lora", "dreambooth"])
def test_in_mid_run(tmp_path, monkeypatch, method):
    monkeypatch.setattr(LRUCache, "get", lambda recent, name: None)  # as where pictures are many
    images, host = pictures(tmp_path / "10_ron"), TinyHost(tmp_path / "data")

    def lose(control):
        if control.state == "training" and control.step == 1:
            (images / "1.png").unlink(missing_ok=True)

    config = settings(images, method=method, train={"batch_size": 2}, dataset={"cache_latents": False}, validation={"split": 0.3},
                      loss={"prior_preservation": "teacher"})
    config["concepts"][0]["class_prompt"] = "a cat"
    control = train(host, config, watch=lose)
    text = (folder_of(host, "ron") / "run.log").read_text(encoding="utf-8")
    assert control.state == "finished" and control.total_steps == 6
    assert text.count("1.png can't be opened") == 1 and "It is left out from here on." in text
    rows = log_csv.read(folder_of(host, "ron") / "log.csv")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("cached", [True, False])
def test_all_of_them(tmp_path, monkeypatch, cached):
    images, host = pictures(tmp_path / "10_ron"), TinyHost(tmp_path / "data")

    def lose(scan):
        for path in images.glob("*.png"):
            path.unlink()

    monkeypatch.setattr(training_data, "refuse_wordless", lose)
    with pytest.raises(RunError, match="None of the pictures .*png can't be opened"):
        train(host, settings(images, dataset={"cache_latents": cached}))
