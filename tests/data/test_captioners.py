from contextlib import contextmanager

import pytest

from lib_sdtune.data import captioners, quality_words
from lib_sdtune.data.caption_editing import Captions
from lib_sdtune.errors import UserError
from tests.data import awful


class WebUI:
    """A host whose interrogators tell a picture's size."""

    def __init__(self):
        self.open, self.asked = False, []

    @contextmanager
    def interrogator(self, name, options, on_wait):
        self.open = True
        self.asked.append((name, vars(options)))
        yield lambda image: f"{image.width} wide"
        self.open = False


@pytest.fixture
def captions(tmp_path):
    for name, width in {"a": 30, "b": 40}.items():
        awful.scene(width, 20).save(tmp_path / f"{name}.png")
    (tmp_path / "c.png").write_bytes(b"broken")
    (tmp_path / "a.txt").write_text("old")
    return Captions(tmp_path)


@pytest.mark.parametrize("existing, caption", [("keep", "old"), ("replace", "30 wide"), ("prepend", "30 wide, old"),
                                              ("append", "old, 30 wide")])
def test_pictures_are_described_and_old_captions_treated_as_asked(captions, existing, caption):
    host = WebUI()
    with captioners.registry["blip"](host) as captioner:
        captioners.describe_all(captions, captioner, existing=existing)
    assert [captions[name] for name in captions.entries] == [caption, "40 wide", ""] and not host.open
    assert captions.undo() and captions["a.png"] == "old"


@pytest.mark.parametrize(("existing", "combined"), [
    ("replace", "masterpiece, best_quality, cat, sky"), ("prepend", "masterpiece, best_quality, cat, sky, ron"),
    ("append", "masterpiece, best_quality, ron, cat, sky"), ("keep", "masterpiece, best_quality, ron")])
def test_quality_words_that_a_person_put_in_front_stay_in_front(existing, combined):
    assert captioners.combine("masterpiece, best_quality, ron", "cat, sky", existing) == combined


@pytest.mark.parametrize("existing", ["prepend", "append"])
def test_a_tag_that_stands_there_already_is_not_written_again(existing):
    described = captioners.combine("masterpiece, ron, blue sky", "cat, blue_sky", existing)
    assert described == captioners.combine(described, "cat, blue sky", existing)
    assert sorted(described.split(", ")) == ["blue sky", "cat", "masterpiece", "ron"]


@pytest.mark.parametrize(("caption", "words"), [
    ("score_9, score_8_up, 1girl", ["score_9", "score_8_up"]), ("Masterpiece, (detailed), highres", ["Masterpiece"]), ("score, cat", []),
    ("a masterpiece of a cat, best quality", []), ("", [])])
def test_quality_words_are_those_at_the_front(caption, words):
    assert quality_words.leading(caption) == words


def test_options_reach_the_host_checked():
    host = WebUI()
    with captioners.registry["deepbooru"](host, threshold=0.7):
        assert host.asked == [("deepbooru", {"threshold": 0.7, "sort_alpha": False, "use_spaces": True})]
    with pytest.raises(UserError, match="threshold"):
        captioners.registry["deepbooru"](host, threshold=7)


def test_stopping_keeps_what_was_described(captions):
    def stop(done, total, text):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), captioners.registry["blip"](WebUI()) as captioner:
        captioners.describe_all(captions, captioner, existing="replace", progress=stop)
    assert captions["a.png"] == "30 wide" and captions["b.png"] == ""


def test_without_the_webui_it_says_so():
    assert {"blip", "deepbooru"} <= set(captioners.registry.names())
    with pytest.raises(UserError, match="part of the WebUI"), captioners.registry["blip"](None):
        pass
