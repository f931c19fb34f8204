"""The WebUI's schedule text as people write it."""

import re

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


@pytest.mark.parametrize(("typed", "meant"), [("0,001", "0.001"), ("1,5e-4", "1.5e-4"), ("0,001:200, 0,0005", "0.001:200, 0.0005"), ("0,5e-3,", "0.5e-3")])
def test_a_comma_inside_a_number_is_named(typed, meant):
    with pytest.raises(UserError, match=rf"a comma inside a number; write a point: {re.escape(meant)}\.$"):
        parse(typed)


@pytest.mark.parametrize("typed", ["1e-3, 1e-4", "1e-3,1e-4"])
def test_a_comma_between_rates_is_none_inside_a_number(typed):
    with pytest.raises(UserError, match="rising steps"):
        parse(typed)
