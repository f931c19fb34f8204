import subprocess
import sys
import threading
import time

import pytest

from lib_sdtune.data import expressions
from lib_sdtune.data.expressions import Substitution, program
from lib_sdtune.data.prepare import PrepareConfig, prepare
from lib_sdtune.errors import RunError, UserError
from tests.data import awful

ENDLESS = [("(a+)+$", "a" * 60 + "!"), ("(a|a)*$", "a" * 60 + "!"), ("(.*),(.*),(.*),(.*),(.*),(.*)x", "a, " * 400)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(expressions, "LIMIT", 0.5)


@pytest.mark.parametrize("pattern, new, caption, wanted", [
    (r"(\d+)", r"<\1>", "a 12 cat", "a <12> cat"), ("(?i)RON", "猫🦊", "ron, ron", "猫🦊, 猫🦊"), ("$", "", "", ""), ("\n", " ", "a\nb", "a b"),
    (r"(?P<one>r)on", r"\g<one>", "ron", "r"), ("\udcff", "x", "\udcff", "x")])
def test_substitutions(pattern, new, caption, wanted):
    assert Substitution(pattern, new).check()(caption) == wanted


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
    assert time.monotonic() - began < 20 and program.process is None
    assert Substitution("a", "b")("a") == "b"  # the next one finds a fresh program


def test_many_slow_captions_are_too_long_too(monkeypatch):
    monkeypatch.setattr(expressions, "SLOW", 0.0)
    monkeypatch.setattr(expressions, "PATIENCE", 0.0)
    with pytest.raises(UserError, match="takes too long"):
        Substitution("a", "b")("a")


def test_a_result_that_grows_without_measure_is_refused():
    with pytest.raises(UserError, match="longer than"):
        Substitution("", "x" * 1000)("y" * 1000)


def test_a_program_that_was_ended_from_outside_is_started_again():
    assert Substitution("a", "b")("a") == "b"
    program.process.kill()
    program.process.wait()
    assert Substitution("a", "b")("a") == "b"


def test_threads_take_turns():
    found = []
    threads = [threading.Thread(target=lambda n=n: found.append(Substitution(r"\d+", f"<{n}>")("1") == f"<{n}>")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8


def test_it_goes_when_nobody_asks(monkeypatch):
    fresh = type(program)()
    monkeypatch.setitem(type(program).ask.__globals__, "IDLE", 0.2)
    assert fresh.ask(["a", "b", "a"], 5) == {"text": "b"}
    process = fresh.process
    assert process.wait(timeout=10) is not None and fresh.process is None


def test_no_python_is_a_sentence(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(RunError, match="can't be started"):
        type(program)().ask(["a", "b", "a"], 1)


def test_the_program_loads_nothing_of_ours_and_ends_with_its_input():
    place = expressions.__file__.replace("__init__", "matcher")
    done = subprocess.run([sys.executable, "-I", "-S", place], input='["a", "b", "a"]\n', capture_output=True, text=True, timeout=60)
    assert done.stdout.split("\n") == ["ready", '{"text": "b"}', ""] and done.returncode == 0


def test_preparing_refuses_it_before_anything_is_written(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    awful.scene().save(source / "a.png")
    (source / "a.txt").write_text(ENDLESS[0][1])
    with pytest.raises(UserError, match="takes too long"):
        prepare(source, tmp_path / "out", PrepareConfig(replace_regex=["(a+)+$=b"]))
    assert not (tmp_path / "out").exists()
