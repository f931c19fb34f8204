"""Sample prompts as sd-scripts' files write them."""

import pytest

from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.prompt_lines import parse, spoken


@pytest.mark.parametrize("line, settings", [
    ("a cat", {"prompt": "a cat"}),
    ("a cat, 1--2 --n blurry, bad --w 512 --h 768 --d 7 --l 5.5 --s 28",
     {"prompt": "a cat, 1--2", "negative_prompt": "blurry, bad", "width": 512, "height": 768, "seed": 7, "cfg_scale": 5.5, "steps": 28}),
    ("--n only what not", {"prompt": "", "negative_prompt": "only what not"}),
    ("a cat --n", {"prompt": "a cat", "negative_prompt": ""}),
    ("a cat --w=64 --h= 72 \u2014n blurry \u2013s 4", {"prompt": "a cat", "width": 64, "height": 72, "negative_prompt": "blurry", "steps": 4}),
    ("a cat \u2014not a dog \u2014 n", {"prompt": "a cat \u2014not a dog \u2014 n"}),
    ("a cat --ss DDIM", {"prompt": "a cat", "sampler": "DDIM"})])
def test_a_line_and_its_settings(line, settings):
    assert parse(line) == settings


@pytest.mark.parametrize("line, word", [("a cat --q 3", "--q"), ("a cat --w x", "whole number"), ("a cat --w 100", "multiple of 8"),
                                        ("a cat --s 0", "1 to 150"), ("a cat --q=3", "--q"), ("a photo of [name]", "letters"), ("[filewords]", "letters"), ("a cat --l nan", "1 to 30"), ("a cat --d", "whole number")])
def test_what_cannot_be_read_is_named_before_a_run(line, word):
    with pytest.raises(UserError, match=word):
        Config.from_dict({"name": "ron", "concepts": [{"images": "x"}], "sample": {"prompts": ["fine", line]}})


def test_comments_ask_for_nothing():
    assert spoken(["# title", "  ", "a cat", " #x"]) == ["a cat"]
