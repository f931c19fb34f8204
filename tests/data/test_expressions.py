import threading
import time

import pytest

from lib_sdtune.data import expressions
from lib_sdtune.data.expressions import Substitution
from lib_sdtune.data.prepare import PrepareConfig, prepare
from lib_sdtune.errors import UserError
from tests.data import awful

ENDLESS = [("(a|a)*$", "a" * 60 + "!"), ("(a|b|ab)*$", "ab" * 60 + "!"), ("(.*),(.*),(.*),(.*),(.*),(.*)x", "a, " * 400)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(expressions, "LIMIT", 0.5)


@pytest.mark.parametrize("pattern, new, caption, expected", [
    (r"(\d+)", r"<\1>", "a 12 cat", "a <12> cat"), ("(?i)RON", "猫🦊", "ron, ron", "猫🦊, 猫🦊"), ("$", "", "", ""), ("\n", " ", "a\nb", "a b"),
    (r"(?P<one>r)on", r"\g<one>", "ron", "r"), ("\udcff", "x", "\udcff", "x")])
def test_substitutions(pattern, new, caption, expected):
    assert Substitution(pattern, new).check()(caption) == expected


@pytest.mark.parametrize("pattern, new, words", [("(a", "", "does not compile"), ("a{99999999999}", "", "does not compile"),
                                                 ("a", r"\7", "can't be used"), ("a", r"\g<x>", "can't be used")])
def test_what_is_no_expression_is_a_sentence(pattern, new, words):
    with pytest.raises(UserError, match=words):
        Substitution(pattern, new).check()


@pytest.mark.parametrize("pattern, caption", ENDLESS)
def test_an_expression_without_end_is_ended(pattern, caption):
    began = time.monotonic()
    with pytest.raises(UserError, match="takes too long"):
        Substitution(pattern, "").check()(caption)
    assert time.monotonic() - began < 20
    assert Substitution("a", "b")("a") == "b"


def test_what_takes_long_in_one_engine_may_be_quick_in_this_one():
    assert Substitution("(a+)+$", "b").check()("a" * 60 + "!") == "a" * 60 + "!"


def test_many_slow_captions_are_too_long_too(monkeypatch):
    monkeypatch.setattr(expressions, "SLOW", 0.0)
    monkeypatch.setattr(expressions, "PATIENCE", 0.0)
    with pytest.raises(UserError, match="takes too long"):
        Substitution("a", "b")("a")


def test_a_result_that_grows_without_measure_is_refused():
    with pytest.raises(UserError, match="longer than"):
        Substitution("", "x" * 1000)("y" * 1000)


def test_the_replacement_is_checked_although_nothing_matches_yet():
    with pytest.raises(UserError, match="can't be used"):
        Substitution("only in some caption", r"\2").check()


def test_threads_take_no_turns():
    results = []
    threads = [threading.Thread(target=lambda n=n: results.append(Substitution(r"\d+", f"<{n}>")("1") == f"<{n}>")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8


def test_without_the_library_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(expressions, "regex", None)
    with pytest.raises(UserError, match="pip install regex"):
        Substitution("a", "b")


def test_preparing_refuses_it_before_anything_is_written(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    awful.scene().save(source / "a.png")
    (source / "a.txt").write_text(ENDLESS[0][1])
    with pytest.raises(UserError, match="takes too long"):
        prepare(source, tmp_path / "out", PrepareConfig(replace_regex=["(a|a)*$=b"]))
    assert not (tmp_path / "out").exists()
