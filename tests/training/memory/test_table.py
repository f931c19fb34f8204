"""docs/memory.md: its figures are those of `estimate`, and `estimate` is what a pretended card counts."""

import pytest

from tools import memory_table


def test_the_page_says_what_the_ladder_chooses():
    page = (memory_table.ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
    assert memory_table.ladder_table() in page, "run python tools/memory_table.py"


def test_an_estimate_is_what_a_card_counts():
    counted, estimated = memory_table.peak(memory_table.CASES[0], "off")
    assert counted == pytest.approx(estimated, rel=0.15)
