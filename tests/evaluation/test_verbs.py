"""The verbs for choosing, on a run of the embedded model."""

import sys
from types import SimpleNamespace

import pytest

from lib_sdtune.__main__ import main
from lib_sdtune.cli import choose
from lib_sdtune.evaluation import evaluation
from lib_sdtune.evaluation import settings as evaluation_settings
from lib_sdtune.evaluation.grid import TooMany


@pytest.mark.parametrize(("argv", "word"), [
    (["choose", "nobody"], "no run called 'nobody'"), (["choose", "../x"], "name"), (["compare", "a", "b"], "no run called 'a'"),
    (["report", "nobody"], "no run"), (["choose", "x", "--seeds", "many"], "--seeds"), (["choose", "x", "--pictures", "y"], "--of"),
    (["choose", "x", "--of", "gone.safetensors", "--publish"], "--of only"), (["choose", "x", "--of", "gone.safetensors"], "no file")])
def test_wrong_input_is_a_sentence(argv, word, tmp_path, capsys):
    assert main([*argv, "--data-dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert word in error and len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(("terminal", "typed", "is_drawn"), [(True, "y", True), (True, "", False), (False, "y", False)])
def test_a_large_grid_is_asked_about_where_somebody_sits(monkeypatch, terminal, typed, is_drawn):
    class Large:
        def __init__(self, host, folder, settings, progress):
            self.sure = settings.sure

        def make(self):
            if not self.sure:
                raise TooMany("It takes about 3 h.")
            return {"ranking": []}

    questions = []
    monkeypatch.setattr(evaluation, "Evaluation", Large)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: terminal))
    monkeypatch.setattr("builtins.input", lambda text: questions.append(text) or typed)
    if is_drawn:
        assert choose.evaluate(None, None, evaluation_settings.read({})) == {"ranking": []}
    else:
        with pytest.raises(TooMany):
            choose.evaluate(None, None, evaluation_settings.read({}))
    assert len(questions) == terminal and all("3 h" in text for text in questions)
