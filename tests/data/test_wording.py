"""Whether a caption says a word is decided as the tokenizer parts it."""

import pytest

from lib_sdtune.data.wording import says


@pytest.mark.parametrize("text, word, result", [
    ("an artwork of a house", "art", False), ("ART, of a house", "art", True), ("a photo of zqx-, red", "zqx-", False),
    ("a zqx- toy", "zqx-", True), ("my cat dog", "cat dog", True), ("cat", "cat dog", False), ("ron's hat", "ron", True)])
def test_words_are_not_parts_of_other_words(text, word, result):
    assert says(text, word) == result
