"""The verbs for choosing, on a run of the embedded model."""

import pytest

from lib_sdtune.__main__ import main


@pytest.mark.parametrize(("argv", "word"), [
    (["choose", "nobody"], "no run called 'nobody'"), (["choose", "../x"], "name"), (["compare", "a", "b"], "no run called 'a'"),
    (["report", "nobody"], "no run"), (["choose", "x", "--seeds", "many"], "--seeds")])
def test_wrong_input_is_a_sentence(argv, word, tmp_path, capsys):
    assert main([*argv, "--data-dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert word in error and len(error.strip().splitlines()) == 1
