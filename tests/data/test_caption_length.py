"""A caption costs what its first tokens cost, however long its file is."""

import logging
import time

import pytest

from lib_sdtune.data.caption_length import CaptionLimit, truncate
from tests.hosts import TinyHost, pictures, settings, train


def words(text):
    """As many ids as there are words and commas."""
    return text.replace(",", " , ").split()


@pytest.mark.parametrize(("caption", "most", "cut"), [
    ("a cat", 75, "a cat"), ("a cat, on, a, mat", 3, "a cat"), ("one two three four", 2, "one two"), ("one two three four", 4, "one two three four"),
    ("a,b,c,d", 3, "a,b"), ("x" * 500, 75, "x" * 500), ("  spaced   out  text ", 2, "  spaced   out"), ("", 75, "")])
def test_cut_between_words_and_tags(caption, most, cut):
    assert truncate(caption, words, most) == cut


def test_the_cut_caption_has_no_more_tokens_than_asked_and_is_as_long_as_it_can_be():
    tokenizer = TinyHost(None).model.tokenizer
    caption = "A photo of Ron's 1,234 hats; \u00fcber-odd " * 300
    cut = truncate(caption, tokenizer, 225)
    assert caption.startswith(cut) and 220 <= len(tokenizer(cut)) <= 225


def test_a_megabyte_costs_no_time():
    tokenizer = TinyHost(None).model.tokenizer
    started = time.process_time()
    truncate("a tag, " * 200_000, tokenizer, 225)
    assert time.process_time() - started < 5


def test_it_is_said_once(caplog):
    limit = CaptionLimit(words, 3)
    with caplog.at_level(logging.WARNING, "sdtune"):
        assert limit(["a b c d", "a b c d"]) == limit(["a b c d"]) * 2 == ["a b c"] * 2
    assert len(caplog.records) == 1 and "max_token_length" in caplog.text


def test_what_lies_behind_the_limit_changes_nothing(tmp_path):
    files = []
    for name, tail in (("short", ""), ("long", ", and something else" * 2000)):
        host, images = TinyHost(tmp_path / name), pictures(tmp_path / name / "10_ron")
        for number in range(3):
            (images / f"{number}.txt").write_text("a cat, " * 40 + "mat" + tail)
        train(host, settings(images, dataset={"resolution": 128, "min_bucket_reso": 64, "max_bucket_reso": 192, "max_token_length": 75}, train={"max_train_steps": 2}))
        files.append((host.folder("lora") / "ron.safetensors").read_bytes()[-4096:])
    assert files[0] == files[1]
