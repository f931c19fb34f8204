"""Names become parts of paths: what is accepted, and what never reaches the file system."""

import pytest

from lib_sdtune.errors import UserError
from lib_sdtune.formats.names import check_name


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
