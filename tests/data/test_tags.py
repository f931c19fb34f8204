import pytest

from lib_sdtune.data import tags
from lib_sdtune.errors import UserError


@pytest.mark.parametrize("result, expected", [
    (tags.add("a, b", "c, A"), "a, b, c"), (tags.add("a", "x, y", front=True), "x, y, a"),
    (tags.add("a", "a"), "a"), (tags.add("", "a"), "a"),
    (tags.lead("a, Ron, b", "ron"), "ron, a, b"), (tags.lead("a", "ron"), "ron, a"),
    (tags.remove("red hair, red eyes, cat", "red *"), "cat"), (tags.remove("a_b, c", "a b"), "c"), (tags.remove("a", "b"), "a"),
    (tags.remove("ron \\(cat\\), x", "ron (cat)"), "x"), (tags.remove("what?, x", "what?"), "x"),
    (tags.remove("whats, [x]", "what?, [x]"), "whats"),
    (tags.replace("a, b, c", "b", "x, c"), "a, x, c"), (tags.replace("a, b", "b", ""), "a"), (tags.replace("abc, x", "b", "y"), "abc, x"),
    (tags.arrange("b, A, c"), "A, b, c"),
    (tags.dedupe("a, b, A, b"), "a, b"), (tags.dedupe("a,b ,c"), "a,b ,c"),
    (tags.remove("1girl,solo,red hat", "umbrella"), "1girl,solo,red hat"), (tags.remove("red, red, snow ,", "hat"), "red, red, snow ,"),
    (tags.replace("a photo of ron , on a table,", "hat", "x"), "a photo of ron , on a table,"),
    (tags.replace("red, red, snow", "snow", "ice"), "red, red, ice"), (tags.remove("1girl,solo,red hat", "solo"), "1girl,red hat"),
    (tags.remove("*_*, long hair, a b", "*_*"), "long hair, a b"), (tags.remove("a*b, axb", '"a*b"'), "axb"), (tags.remove("a, b", "*"), ""),
    (tags.lead("*_*, long hair", "ron"), "ron, *_*, long hair"), (tags.lead("long hair, ron", "r*"), "r*, long hair, ron"),
    (tags.lead("ron,  a ,b", "Ron"), "ron,  a ,b"), (tags.add("a ,b", "c"), "a ,b, c"), (tags.add("x y", "*_*"), "x y, *_*"),
    (tags.remove('say "hi", x', '"say ""hi"""'), "x"), (tags.remove("1girl\uff0cred dress\uff0csmile", "red dress"), "1girl\uff0csmile"),
    (tags.remove("a, b, c", "c"), "a, b"), (tags.remove("a, b, c", "a"), "b, c")])
def test_edits(result, expected):
    assert result == expected


@pytest.mark.parametrize("query, passing", [
    ("", ["cat, red", "dog", "", "cat and dog"]), ("cat", ["cat, red", "cat and dog"]), ("cat and not red", ["cat and dog"]),
    ("red or dog", ["cat, red", "dog", "cat and dog"]), ("re", ["cat, red"]), ('"re"', []), ("cat, red", ["cat, red"]), ("CAT_and", ["cat and dog"]),
    ("not cat", ["dog", ""]), ("missing", [""]), ("not missing and not dog", ["cat, red"]),
    ("c*", ["cat, red", "cat and dog"]),
    ("CAT AND Red OR missing", ["cat, red", ""]), ('"cat and dog"', ["cat and dog"]), ('"missing"', []), ('not "c*"', ["cat, red", "dog", "", "cat and dog"]),
    ('"cat" or "dog"', ["cat, red", "dog"])])
def test_filters(query, passing):
    assert [caption for caption in ["cat, red", "dog", "", "cat and dog"] if tags.query(query)(caption)] == passing


@pytest.mark.parametrize("query", ["cat and", "or", "not", "cat and not ", "and cat"])
def test_half_a_filter_is_refused(query):
    with pytest.raises(UserError, match="lacks a tag"):
        tags.query(query)


def test_quality_words_in_front_stay_there_when_tags_are_sorted():
    assert tags.arrange("masterpiece, best quality, zebra, ant, highres") == "masterpiece, best quality, ant, highres, zebra"
