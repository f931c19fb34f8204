"""Find and replace works on words in sentences, and on nothing else."""

import pytest

from lib_sdtune.data.find_replace import find_and_replace


@pytest.mark.parametrize(("caption", "words", "new", "wanted"), [
    ("a photo of a Red hat on a table.", "red hat", "blue cap", "a photo of a blue cap on a table."),
    ("a cat in a catalog, cat's bed", "cat", "dog", "a dog in a catalog, dog's bed"),
    ("red_hat, a red  hat", "red hat", "cap", "cap, a cap"),
    ("a red hat, red", "red", "", "a hat,"), ("red hat", "red", "", "hat"), ("a hat that is red.", "red", "", "a hat that is."),
    ("1+1=2 (b)", "(b)", r"\1", r"1+1=2 \1"), ("一只红猫在桌上", "红猫", "狗", "一只狗在桌上"), ("a dog", "cat", "x", "a dog")])
def test_words_are_replaced_where_they_stand(caption, words, new, wanted):
    assert find_and_replace(caption, words, new) == wanted
