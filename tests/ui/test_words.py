"""The words of the tab: unique, constant, and all of them translated."""

import json
import re

import pytest

from lib_sdtune.ui.fields import declared
from lib_sdtune.ui.labels import label
from tests.ui import strings

LANGUAGES = sorted((strings.ROOT / "localizations").glob("*.json"))


def test_labels_are_unique_and_in_sentence_case():
    labels = [field.label for field in declared()]
    assert len(set(labels)) == len(labels)
    assert all(text[0].isupper() and text == text.strip() for text in labels)


def test_an_undeclared_label_is_made_of_the_key_and_kept_unique():
    assert label("train.new_unet_lr") == "New UNet learning rate"
    assert label("noise.seed_offset", used={"Seed offset"}) == "Noise: seed offset"


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.stem)
@pytest.mark.parametrize("source", [strings.of_form, strings.of_scripts, strings.of_server], ids=["form", "scripts", "server"])
def test_every_word_has_a_translation(path, source):
    table = json.loads(path.read_text(encoding="utf-8"))
    words = source()
    assert len(words) > 40
    assert sorted(words - set(table)) == []


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.stem)
def test_values_are_called_alike_in_lists_fields_and_advice(path):
    """The WebUI translates every text of a list that its table has, and never what a field shows."""
    table = json.loads(path.read_text(encoding="utf-8"))
    values = {str(choice) for field in declared() if field.path != "method" for choice in field.choices}
    assert not values & set(table)
    for field in declared():
        for value in values & set(re.findall(r"[\w.]+", field.info)) & set(map(str, field.choices)):
            assert value in table[field.info], field.path


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.stem)
def test_translations_keep_the_blanks_and_nothing_else_is_translated(path):
    table = json.loads(path.read_text(encoding="utf-8"))
    assert all(len(text) > 1 for text in table)
    for text, translated in table.items():
        blanks, kept = (sorted(set(re.findall(r"\{\w+\}", words))) for words in (text, translated))
        numbered = blanks and blanks[0][1:-1].isdigit()  # an English plural may need no word
        assert set(kept) <= set(blanks) if numbered else kept == blanks, text
    stale = set(table) - strings.of_server() - strings.of_form() - strings.of_scripts() - {text for path in (strings.ROOT / "javascript").glob("*.js")
                                                                     for text in table if text in path.read_text(encoding="utf-8")}
    assert stale <= {"folder on the machine that trains", "ron cat", "DreamBooth"}
