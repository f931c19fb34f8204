import pytest

from lib_sdtune.data import tags
from lib_sdtune.errors import UserError


@pytest.mark.parametrize("result, wanted", [
    (tags.add("a, b", "c, A"), "a, b, c"), (tags.add("a", "x, y", front=True), "x, y, a"),
    (tags.add("a", "a"), "a"), (tags.add("", "a"), "a"),
    (tags.lead("a, Ron, b", "ron"), "ron, a, b"), (tags.lead("a", "ron"), "ron, a"),
    (tags.remove("red hair, red eyes, cat", "red *"), "cat"), (tags.remove("a_b, c", "a b"), "c"), (tags.remove("a", "b"), "a"),
    (tags.remove("ron \\(cat\\), x", "ron (cat)"), "x"), (tags.remove("what?, x", "what?"), "x"),
    (tags.remove("whats, [x]", "what?, [x]"), "whats"),
    (tags.replace("a, b, c", "b", "x, c"), "a, x, c"), (tags.replace("a, b", "b", ""), "a"), (tags.replace("abc, x", "b", "y"), "abc, x"),
    (tags.arrange("b, A, c"), "A, b, c"),
    (tags.dedupe("a, b, A, b"), "a, b")])
def test_edits(result, wanted):
    assert result == wanted


@pytest.mark.parametrize("query, passing", [
    ("", ["cat, red", "dog", "", "cat and dog"]), ("cat", ["cat, red"]), ("cat and not red", []), ("cat or dog", ["cat, red", "dog"]),
    ("not cat", ["dog", "", "cat and dog"]), ("missing", [""]), ("not missing and not dog", ["cat, red", "cat and dog"]),
    ("c*", ["cat, red", "cat and dog"]),
    ("CAT AND Red OR missing", ["cat, red", ""])])
def test_filters(query, passing):
    assert [caption for caption in ["cat, red", "dog", "", "cat and dog"] if tags.query(query)(caption)] == passing


@pytest.mark.parametrize("query", ["cat and", "or", "not", "cat and not ", "and cat"])
def test_half_a_filter_is_refused(query):
    with pytest.raises(UserError, match="lacks a tag"):
        tags.query(query)
