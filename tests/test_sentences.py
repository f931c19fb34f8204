"""Sentences recognised in the server's answers, and that none of them is left out."""

import json

import pytest

from lib_sdtune.api.answers import with_codes
from lib_sdtune.formats import kinds
from lib_sdtune.sentences import FILE, PARTS, coded, recognised
from tools import sentences


def test_every_sentence_of_the_source_is_in_the_list():
    assert json.loads(FILE.read_text(encoding="utf-8")) == sentences.found(), "run python tools/sentences.py"


def test_a_sentence_is_told_with_what_stands_in_its_blanks():
    code = recognised('"train.batch_size" is 0; the smallest value is 1.')
    assert code == {"code": '"{1}" is {2}; the smallest value is {3}.', "values": {"1": "train.batch_size", "2": "0", "3": "1"}}
    assert recognised("a photo of a cat on sand") is None
    time = recognised('About 15 seconds (13 seconds to 18 seconds), measured with the same settings in the run "one".')
    assert time["values"]["1"] == {"code": "{1} seconds", "values": {"1": "15"}}
    assert time["values"]["4"]["values"] == {"1": "one"}


def test_a_blank_takes_no_further_sentences_in():
    first, second = "Class pictures keep the class as it is.", "12 steps with 6 pictures: each is shown about 2 times."
    recipe = f"Recipe: LoRA of dim 16 learns with AdamW and the schedule constant (UNet 0.1). {second} {first}"
    codes = coded(recipe)
    assert recipe not in codes and first in codes and codes[second]["values"]["1"] == {"code": "{1} steps", "values": {"1": "12"}}
    time = 'About 15 seconds (13 seconds to 18 seconds), measured with the same settings in the run "one". Samples, validation and saving are counted.'
    assert set(coded(time)) == set(PARTS.split(time))
    preset = recognised('The preset /tmp/my. cats.json is damaged: it has no "settings". Delete it, or save it anew.')
    assert preset["values"] == {"1": "/tmp/my. cats.json"}


@pytest.mark.parametrize("text, values", [
    ("my cat.png is nearly the same picture as a cat.png; one of them is enough.", ["my cat.png", "a cat.png"]),
    ("my cats.csv was there before; it is left alone. Remove it to have it made again.", ["my cats.csv"]),
    ("2 of the captions in my list.csv are of no picture in the folder; the first is that of a cat.png.",
     ["2", "my list.csv", "a cat.png"]),
    ('measured with the same settings in the run "a LoRA"', ["a LoRA"]),
    ("my cat.pt is a LoRA, not a checkpoint; choose a model of the folder models/Stable-diffusion.", ["my cat.pt", {"code": "a LoRA", "values": {}}])])
def test_words_of_ours_are_no_part_of_a_name(text, values):
    assert list(recognised(text)["values"].values()) == values


@pytest.mark.parametrize("text, blank, code", [
    ('"lora.conv_alpha" has no effect: "lora.conv_dim" is 0.', "2", '"lora.conv_dim" is 0'),
    ('"train.optimizer" is \'AdamV\' (did you mean \'AdamW\'?); it can be: AdamW, Lion.', "3", "{1} (did you mean {2}?)"),
    ('"concepts[0].images": there is no folder /no/such (/ exists, but holds no \'no\').', "3", "{1} ({2} exists, but holds no {3})"),
    ("my.psd is not a picture that can be read (a Photoshop file); save it again as PNG or JPEG, or remove it.", "2", "a Photoshop file"),
    ('"name" is missing: what the run and its file are called.', "2", "what the run and its file are called.")])
def test_a_part_that_has_words_of_its_own_is_told_in_them(text, blank, code):
    assert recognised(text)["values"][blank]["code"] == code


@pytest.mark.parametrize("text", ["reading pictures", "drawing class pictures", "reading files", "my pictures", "a few steps"])
def test_only_a_number_makes_a_count_of_a_noun(text):
    assert recognised(text) is None
    assert recognised("1,200 pictures") == {"code": "{1} pictures", "values": {"1": "1,200"}}


def test_nouns_of_files_are_told_too():
    assert {kinds.noun(content) for content in [kind.content for kind in kinds.KINDS.values()] + ["vae"]} <= set(kinds.PHRASES)
    assert {f"{before} {kind.noun}" for before in ("no", "The") for kind in kinds.KINDS.values()} <= set(kinds.PHRASES)


def test_one_word_alone_which_may_be_a_name_is_no_part_of_a_sentence():
    alone = {text for text in sentences.found() if " " not in text.strip()}
    assert alone == {"best", "least", "well", "somewhat", "hardly", "(empty)"}, "say more words with it"


@pytest.mark.parametrize("text", ["Stopped before it began.", "the console · Stopped before it began.",
                                  "The run failed. Stopped before it began."])
def test_parts_of_a_text_are_recognised_too(text):
    assert "Stopped before it began." in coded({"a": [{"message": text}]})


def test_answers_carry_codes_only_where_there_are_sentences():
    assert with_codes({"id": "ron", "state": "training"}) == {"id": "ron", "state": "training"}
    first, second = with_codes([{"message": "Stopped before it began."}, {"message": ""}])
    assert first["codes"]["Stopped before it began."]["values"] == {} and second == {"message": ""}
