import torch

from lib_sdtune.ldm.chunks import even, split
from tests.models import tokenizer

TOK = tokenizer()
CAT, COMMA = TOK("cat"), TOK(",")


def ids(text, **tables):
    return [chunk.ids for chunk in split(TOK, [(text, 1.0)], tables)]


def test_start_end_and_padding():
    assert ids("cat cat") == [[TOK.start, *CAT, *CAT, TOK.end, *[TOK.pad] * 73]]
    assert ids("") == [[TOK.start, TOK.end, *[TOK.pad] * 75]]


def test_seventy_five_tokens_fill_one_chunk():
    assert len(ids("cat " * 75)) == 1
    first, second = ids("cat " * 76)
    assert first == [TOK.start, *CAT * 75, TOK.end] and second[:3] == [TOK.start, *CAT, TOK.end]


def test_a_tag_is_not_parted_near_the_end():
    first, second = ids("cat " * 70 + ", " + "dog " * 6)
    assert first[1:] == [*CAT * 70, *COMMA, TOK.end, *[TOK.pad] * 4]
    assert second[1:7] == TOK("dog") * 6
    far = ids("cat , " + "dog " * 80)  # a comma too far back is left alone
    assert far[0][1:76] == [*CAT, *COMMA, *TOK("dog") * 73]


def test_an_embedding_is_not_parted_and_the_longest_name_wins():
    short, long = torch.zeros(2, 4), torch.ones(5, 4)
    chunks = split(TOK, [("cat " * 73 + "catdog", 1.0)], {"cat": short[:1], "catdog": long})
    assert [table is long for _, table in chunks[1].rows] == [True]
    assert chunks[1].rows[0][0] == 1 and chunks[1].ids[6] == TOK.end
    assert [position for position, _ in chunks[0].rows] == list(range(1, 74))


def test_rows_move_along_with_a_parted_tag():
    chunks = split(TOK, [("cat " * 70 + ", zz " + "dog " * 6, 1.0)], {"zz": torch.ones(2, 4)})
    assert not chunks[0].rows and chunks[1].rows[0][0] == 1


def test_break_and_weights():
    chunks = split(TOK, [("cat", 1.5), ("BREAK", -1), ("dog", 0.5)], {})
    assert [chunk.weights[1] for chunk in chunks] == [1.5, 0.5] and chunks[0].weights[0] == 1.0 == chunks[0].weights[2]
    assert all(len(chunk.weights) == len(chunk.ids) == 77 for chunk in chunks)
    assert [len(row) for row in even([chunks, chunks[:1]], TOK)] == [2, 2]
