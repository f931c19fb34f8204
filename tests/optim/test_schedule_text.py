"""The WebUI's schedule text as people write it."""

import pytest

from lib_sdtune.errors import UserError
from lib_sdtune.optim.schedule import parse, scheduled


@pytest.mark.parametrize("text", ["5e-3:10, 1e-3:20,", "5e-3:10, 1e-3:20, "])
def test_commas_that_end_nothing_are_allowed(text):
    assert parse(text) == [(5e-3, 10), (1e-3, 20)] and scheduled(text, 9) == 5e-3 and scheduled(text, 19) == 1e-3


@pytest.mark.parametrize("text", ["", ",", " , "])
def test_a_schedule_of_commas_alone_is_none(text):
    with pytest.raises(UserError, match="is not a schedule"):
        parse(text)
