"""Whether captions say a word is decided as the tokenizer parts them; embeddings that they name are told."""

from pathlib import Path

import pytest

from lib_sdtune.config import Config
from lib_sdtune.data.caption_checks import check_word, named_embeddings, says, unused_prompts
from lib_sdtune.data.example import Picture
from lib_sdtune.data.inspect import findings
from lib_sdtune.data.scan import Scan
from lib_sdtune.errors import UserError
from lib_sdtune.ldm.tokenizer import words


def named(captions, names, templates=None, needs_name=False):
    pictures = [Picture(f"{number}.png", 64, 64, caption, "file", str(number), 1, False, 1.0, 0, "f")
                for number, caption in enumerate(captions)]
    config = Config.from_dict({"name": "ron", "concepts": [{"images": "."}]})
    scan = Scan(pictures, templates=templates or {}, needs_name=needs_name)
    return [(problem.path, problem.text.split('"')[1]) for problem in named_embeddings(scan, config, names, lambda text: list(words(text)))]


@pytest.mark.parametrize("captions, names, expected", [
    (["a cat", "a photo of Ron, red"], ["ron", "red hat"], [("1.png", "ron")]), (["a photo of ronald"], ["ron"], []),
    (["bad hands, x"], ["bad hands", "easynegative"], [("0.png", "bad hands")]), ([""], ["", "ron"], [])])
def test_captions_that_name_an_embedding_are_told(captions, names, expected):
    assert named(captions, names) == expected


def test_a_template_may_name_one_too_but_the_word_that_is_taught_is_meant():
    lines = {0: ["a photo of [name], ugly"]}
    assert named(["x"], ["ron", "ugly"], lines) == [("0.png", "ron"), ("0.png", "ugly")]
    assert named(["x"], ["ron", "ugly"], lines, needs_name=True) == [("0.png", "ugly")]


@pytest.mark.parametrize("rate, keep_tokens, templates, refused", [
    (1, 0, {}, True), (1, 1, {}, False), (0.9, 0, {}, False), (1, 0, {0: ["[name], [filewords]"]}, False)])
def test_tag_dropout_that_always_takes_the_word_is_refused(rate, keep_tokens, templates, refused):
    config = Config.from_dict({"name": "ron", "method": "textual_inversion", "concepts": [{"images": "."}],
                               "dataset": {"caption_tag_dropout_rate": rate, "keep_tokens": keep_tokens}})
    scan = Scan([Picture("0.png", 64, 64, "ron, red", "file", "0", 1, False, 1.0, 0, "f")], templates=templates)
    if not refused:
        return check_word(scan, config, "ron")
    with pytest.raises(UserError, match='caption_tag_dropout_rate" is 1 .* would ever say "ron"'):
        check_word(scan, config, "ron")


@pytest.mark.parametrize("captions, shuffled, refused", [
    (["cat, " * 80 + "ron"], False, True), (["cat, " * 80 + "ron"], True, False), (["ron" + ", cat" * 80], False, False),
    (["cat, " * 80 + "ron", "ron"], False, False), (["cat " * 20 + "ron"], False, False)])
def test_a_word_that_is_never_read_is_refused(captions, shuffled, refused):
    config = Config.from_dict({"name": "ron", "method": "textual_inversion", "concepts": [{"images": "."}],
                               "dataset": {"max_token_length": 75, "shuffle_caption": shuffled}})
    scan = Scan([Picture(f"{number}.png", 64, 64, caption, "file", str(number), 1, False, 1.0, 0, "f")
                 for number, caption in enumerate(captions)])
    if not refused:
        return check_word(scan, config, "ron")
    with pytest.raises(UserError, match='says "ron" only behind the 75 tokens'):
        check_word(scan, config, "ron")


@pytest.mark.parametrize("sources, template, is_unused", [
    (["file", "file"], None, True), (["file", "prompt"], None, False), (["file"], ["[filewords], red"], False), ([], None, False)])
def test_a_prompt_that_no_picture_uses_is_told(sources, template, is_unused):
    pictures = [Picture(f"{number}.png", 64, 64, "a cat", source, str(number), 1, False, 1.0, 0, "f") for number, source in enumerate(sources)]
    config = Config.from_dict({"name": "ron", "concepts": [{"images": ".", "prompt": "a photo of ron"}]})
    problems = [problem.text for problem in unused_prompts(Scan(pictures, templates={0: template} if template else {}), config)]
    assert ['"concepts[0].prompt" is not used' in text for text in problems] == [True] * is_unused
    config.dataset.trigger_words_rate = 0.2  # shown by themselves, they are used
    assert not list(unused_prompts(Scan(pictures), config))
    config.dataset.trigger_words_rate, config.concepts[0].prompt = 0.0, ""
    assert not list(unused_prompts(Scan(pictures), config))


@pytest.mark.parametrize("captions, parts", [
    (["a zwx cat, red", "zwx cat"], []), (["a zwx cat", "a cat", "zwx"], ['2 of 3 captions do not say "zwx cat"', "that of 1.png"]),
    (["a cat", "zwx"], ['"concepts[0].prompt" is not used'])])
def test_trigger_words_count_as_used_where_every_caption_says_them(captions, parts):
    pictures = [Picture(Path(f"{number}.png"), 64, 64, caption, "file", str(number), 1, False, 1.0, 0, "f")
                for number, caption in enumerate(captions)]
    config = Config.from_dict({"name": "ron", "concepts": [{"images": ".", "prompt": "zwx cat"}]})
    problems = [problem.text for problem in unused_prompts(Scan(pictures), config)]
    assert len(problems) == bool(parts)
    assert all(part in problems[0] for part in parts)


@pytest.mark.parametrize("text, word, result", [
    ("an artwork of a house", "art", False), ("ART, of a house", "art", True), ("a photo of zqx-, red", "zqx-", False),
    ("a zqx- toy", "zqx-", True), ("my cat dog", "cat dog", True), ("cat", "cat dog", False), ("ron's hat", "ron", True)])
def test_words_are_not_parts_of_other_words(text, word, result):
    assert says(text, word) == result


@pytest.mark.parametrize("word, needs_name, told", [("cat", True, True), ("cat", False, False), ("zylo quix", True, False)])
def test_a_word_to_be_taught_that_the_model_knows_is_told_before_the_run(word, needs_name, told):
    pictures = [Picture(Path("0.png"), 512, 512, f"a {word}", "file", "0.png", 1, False, 1.0, 0, "f")]
    config = Config.from_dict({"name": "x", "method": "textual_inversion", "concepts": [{"images": "."}],
                               "textual_inversion": {"token": word}})
    problems = [problem for problem in findings(Scan(pictures, needs_name=needs_name), config, lambda text: list(words(text)))
                if "knows already" in problem.text]
    assert [f'"{word}" is a word' in problem.text for problem in problems] == [True] * told
