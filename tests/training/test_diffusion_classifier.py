"""Words that the model itself chooses for pictures without captions."""

import json
from types import SimpleNamespace

import pytest
import torch

from lib_sdtune import toyworld
from lib_sdtune.config import Config
from lib_sdtune.data.trigger_captions import sentence
from lib_sdtune.host.embedded import EmbeddedHost
from lib_sdtune.sections.model import Model
from lib_sdtune.training import diffusion_classifier
from lib_sdtune.training.diffusion_classifier import best_word, groups_of, words_to_say
from lib_sdtune.training.objective import Objective
from lib_sdtune.training.runs import begin
from lib_sdtune.training.saved_descriptions import SavedDescriptions
from lib_sdtune.training.trainer import Trainer
from tests.hosts import TinyHost, pictures, resumed, settings, train

WORDS = ["red, blue, green", "on snow, on grass"]


@pytest.mark.parametrize("trigger, words, caption", [
    ("zwx toy", ["red", "on snow"], "a photo of a red zwx toy on snow"),
    ("zwx toy", [], "a photo of a zwx toy"),
    ("zwx toy", ["orange"], "a photo of an orange zwx toy"),
    ("a photo of ron cat", ["red", "on snow"], "a photo of red ron cat on snow"),
    ("a painting of a ron cat", ["orange"], "a painting of an orange ron cat"),
])
def test_a_caption_says_trigger_and_words(trigger, words, caption):
    assert sentence(trigger, words) == caption


def test_what_all_pictures_share_in_front_of_the_noun_is_the_subjects_own():
    groups = groups_of(WORDS)
    assert words_to_say([["red", "on snow"], ["red", "on snow"]], groups) == {"on snow"}
    assert words_to_say([["red", "on snow"], ["blue", "on snow"]], groups) == {"red", "blue", "on snow"}


@pytest.mark.parametrize("losses, word", [
    ([(0.8, "red"), (1.0, "blue")], "red"), ([(1.04, "red"), (1.2, "blue")], "red"),
    ([(0.8, "red"), (0.81, "blue")], ""), ([(1.1, "red"), (1.3, "blue")], ""), ([(0.9, "red")], "red"), ([(1.0, "red")], "")])
def test_a_word_must_be_clearly_the_best_and_hardly_worse_than_none(losses, word):
    assert best_word(losses, 1.0) == word


def wordless(tmp_path, **changes):
    """Settings of pictures without captions; the first has one, which stays."""
    folder = pictures(tmp_path / "1_ron", count=4)
    for text in sorted(folder.glob("*.txt"))[1:]:
        text.unlink()
    concept = {"images": str(folder), "prompt": "ron cat"}
    return settings("", concepts=[concept], dataset={"describe": WORDS}, **changes)


def losses_by_word(best):
    """Losses (B,) that are low where a caption has the picture's word of `best`, by the picture's name."""
    def losses(self, batch):
        return torch.tensor([1.0 - 0.1 * sum(word in caption for word in best[example.picture.path.stem])
                             for caption, example in zip(batch.captions, batch.examples, strict=True)])
    return losses


def captions_after(tmp_path, monkeypatch, best):
    monkeypatch.setattr(Objective, "losses", losses_by_word(best))
    host, config = TinyHost(tmp_path / "data"), Config.from_dict(wordless(tmp_path))
    control = begin(config, host)
    with Trainer(config, host.model, control) as trainer:
        return control, {picture.path.stem: picture.caption for picture in trainer.training_data.scan.pictures}


def test_the_words_that_fit_best_are_taken_and_written_captions_stay(tmp_path, monkeypatch):
    best = {"1": ["red", "snow"], "2": ["blue", "grass"], "3": ["red"]}
    control, captions = captions_after(tmp_path, monkeypatch, best)
    assert captions == {"0": "a cat, number 0", "1": "a photo of a red ron cat on snow",
                        "2": "a photo of a blue ron cat on grass", "3": "a photo of a red ron cat"}
    assert "the model itself says" in control.facts["recipe"]
    assert len(json.loads((control.folder / "words.json").read_text())["words"]) == 3


def test_words_that_fit_no_better_than_none_are_left_out(tmp_path, monkeypatch):
    _, captions = captions_after(tmp_path, monkeypatch, dict.fromkeys("123", ()))
    assert {captions[stem] for stem in "123"} == {"a photo of a ron cat"}


def test_without_words_to_choose_from_the_trigger_words_stay(tmp_path):
    config = wordless(tmp_path) | {"dataset": {"resolution": 128, "describe": []}}
    host = TinyHost(tmp_path / "data")
    control = begin(Config.from_dict(config), host)
    with Trainer(Config.from_dict(config), host.model, control) as trainer:
        assert trainer.training_data.scan.pictures[1].caption == "ron cat"


def test_nothing_is_asked_where_the_class_is_not_known(tmp_path, monkeypatch):
    monkeypatch.setattr(diffusion_classifier, "names_its_class", lambda concept: False)
    control = train(TinyHost(tmp_path / "data"), wordless(tmp_path))
    assert not (control.folder / "words.json").exists()


def test_a_resumed_run_learns_the_same_words(tmp_path):
    whole, broken = resumed(tmp_path, wordless(tmp_path))
    files = [(host.folder("lora") / "ron.safetensors").read_bytes() for host in (whole, broken)]
    assert files[0] == files[1]


def test_the_errors_are_those_of_the_untouched_model(tmp_path):
    """A second run in the same data folder, after one that has learned, is words_to_say the same words."""
    host, config = TinyHost(tmp_path / "data"), wordless(tmp_path)
    first = json.loads((train(host, config).folder / "words.json").read_text())
    second = json.loads((train(host, config | {"name": "again"}).folder / "words.json").read_text())
    assert first == second


def test_the_embedded_model_names_the_colours_and_grounds_of_a_form_it_does_not_know(tmp_path):
    boat = [([(-1.05, 0.35), (1.05, 0.35), (0.62, 0.95), (-0.62, 0.95)], True),
            ([(0.05, -1.1), (0.05, 0.25), (0.85, 0.25)], True)]
    host, words = EmbeddedHost(tmp_path / "data"), [("red", "grass"), ("pink", "snow"), ("blue", "sand")]
    folder = tmp_path / "boat"
    folder.mkdir()
    for number, (colour, ground) in enumerate(words):
        toyworld.draw(toyworld.Scene(boat, colour, ground)).save(folder / f"{number}.png")
    config = {"name": "boat", "concepts": [{"images": str(folder), "prompt": "zwx toy"}]}
    config = Config.from_dict(config, host.defaults(Model()))
    with Trainer(config, host.model(config.model), begin(config, host)) as trainer:
        captions = {picture.path.stem: picture.caption for picture in trainer.training_data.scan.pictures}
    assert captions == {str(number): f"a photo of a {colour} zwx toy on {ground}"
                        for number, (colour, ground) in enumerate(words)}


KEPT_BY = {"groups": [["red", "green"]], "model": {"name": "one", "hash": "0123456789"}}


@pytest.mark.parametrize(("change", "is_known"), [
    ({}, True), ({"groups": [["on snow", "on grass"]]}, False), ({"model": {"name": "two", "hash": "9876543210"}}, False),
    ({"model": {"name": "renamed", "hash": "0123456789"}}, True), ({"model": {"name": "two", "hash": ""}}, False),
    ({"model": {"name": "one", "hash": ""}}, True), ({"model": None}, False), ({"words": {"c0ffee a ron cat": "red"}}, False)])
def test_words_count_only_where_the_same_was_asked_of_the_same_model(tmp_path, change, is_known):
    picture = SimpleNamespace(content="c0ffee")
    path = tmp_path / "words.json"
    path.write_text(json.dumps(KEPT_BY | {"words": {"c0ffee a ron cat": ["red"]}} | change))
    kept = SavedDescriptions(path, KEPT_BY["groups"], KEPT_BY["model"])
    assert kept.of(picture, "a ron cat") == (["red"] if is_known else None)
    assert kept.of(picture, "a ron dog") is None


def test_words_of_an_earlier_version_are_still_known(tmp_path):
    path = tmp_path / "words.json"
    path.write_text(json.dumps({"words": {"c0ffee": ["red"]}}))
    kept = SavedDescriptions(path, KEPT_BY["groups"], KEPT_BY["model"])
    assert kept.of(SimpleNamespace(content="c0ffee"), "a ron cat") == ["red"]


def test_the_log_says_whom_the_model_was_asked_about(tmp_path, monkeypatch, caplog):
    asked = []
    monkeypatch.setattr(diffusion_classifier.DiffusionClassifier, "words", lambda self, index, prompt, groups: asked.append(index) or [])
    host, config = TinyHost(tmp_path / "data"), wordless(tmp_path)

    def stop_at_three(control):
        if control.state == "training" and control.step == 3:
            control.request("interrupt")

    caplog.set_level("INFO", "sdtune")
    train(host, config, watch=stop_at_three)
    assert len(asked) == 3 and "was asked what the pictures without captions show (3)" in caplog.text
    caplog.clear()
    train(host, config, resume=True)
    assert len(asked) == 3 and "What the pictures without captions show (3) is kept from before" in caplog.text
    assert "was asked what" not in caplog.text


def test_a_run_that_is_begun_anew_asks_anew(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(diffusion_classifier.DiffusionClassifier, "words", lambda self, index, prompt, groups: asked.append(groups) or [])
    host, config = TinyHost(tmp_path / "data"), wordless(tmp_path)
    train(host, config)
    train(host, config | {"overwrite": True, "dataset": config["dataset"] | {"describe": ["on sand, on snow"]}})
    assert asked[3:] == [[["on sand", "on snow"]]] * 3
