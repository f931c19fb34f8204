"""The class is read off the words as people write them, and left open where nobody could tell."""

import pytest

from lib_sdtune.data.class_word import class_prompt

SCENES = ("a red {} on snow", "a blue {} on sand", "a photo of a green {}")


@pytest.mark.parametrize(("words", "prompt"), [
    ("zwx cat", "a photo of a cat"),
    ("a photo of ron cat", "a photo of a cat"),
    ("ohwx man, portrait, smiling", "a photo of a man"),
    ("a photo of sks old umbrella", "a photo of an umbrella"),
    ("a photo of a zwx toy on snow", "a photo of a toy"),
    ("zwx style", ""),
    ("a painting in the style of zwx", ""),
    ("zwx", ""),
    ("", ""),
])
def test_the_last_word_of_the_trigger_is_the_class(words, prompt):
    assert class_prompt(words) == prompt


@pytest.mark.parametrize(("words", "subject", "prompt"), [
    ("zwx", "zwx toy", "a photo of a toy"),
    ("", "zwx toy", "a photo of a toy"),
    ("zwx", "Zwx Toy", "a photo of a toy"),
    ("zwx", "zwx, toy", ""),
    ("zwx", "zwx", ""),
])
def test_captions_say_what_a_bare_identifier_is(words, subject, prompt):
    assert class_prompt(words, [scene.format(subject) for scene in SCENES]) == prompt


def test_captions_that_disagree_say_nothing():
    assert class_prompt("zwx", ["zwx cat", "zwx dog", "zwx on a sofa", "zwx"]) == ""


def test_tags_have_no_class():
    assert class_prompt("", ["1girl, ron, blue hair", "1girl, ron, red hair, hat"]) == ""
