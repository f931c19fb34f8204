"""Names become parts of paths: what is accepted, and what never reaches the file system."""

import pytest

from lib_sdtune.errors import UserError
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.formats.names import check_artefact_name, check_name


@pytest.mark.parametrize("name", ["ron", "ron v1.2_final-3", "Élan", "e\u0301lan", "猫", "раз", "कार्य", "x" * 100, "7", "console", "a.b.c"])
def test_allowed(name):
    assert check_name(name) == name


@pytest.mark.parametrize("name", [
    "", " ", ".", "..", ".ron", "ron.", " ron", "ron ", "a/b", "../../x", "..\\x", "C:\\x", "C:", "/etc/x", "a\x00b", "a\nb", "a\tb",
    "a\x7fb",
    "'''#", "<script>", "a|b", "a*b", "a?b", 'a"b', "a／b", "a：b", "a\u2215b", "a\u202eb", "a\u200bb",
    "NUL", "nul", "con.txt", "Com1", "lpt9", "aux .x", "com¹", "x" * 101, "x" * 300, "猫" * 90, None, 7,
])
def test_refused_in_one_sentence(name):
    with pytest.raises(UserError) as error:
        check_name(name)
    text = str(error.value)
    assert '"name"' in text and text.endswith(".") and "\n" not in text and len(text) < 500


@pytest.mark.parametrize("name, folder, word", [
    ("ron.safetensors", "lora", '"ron"'), ("ron.PT", "embeddings", '"ron"'), ("ron.preview", "lora", '"ron"'), ("ron.vae", "checkpoints", '"ron"'),
    ("ron.png", "embeddings", '"ron"'), ("None", "hypernetworks", "means something else"), ("automatic", "checkpoints", "means something else"),
    ("cat AND dog", "embeddings", "AND"), ("x BREAK", "embeddings", "BREAK")])
def test_names_with_a_meaning_are_refused_before_work(name, folder, word):
    with pytest.raises(UserError, match=word):
        check_artefact_name(name, [KINDS[folder]])


def test_names_that_only_look_like_it_are_allowed():
    for name in ("ron v1.5", "cat and dog", "nonesuch", "ANDROID"):
        assert check_artefact_name(name, KINDS.values()) == name
