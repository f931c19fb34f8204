"""docs/memory.md: its figures are those of `estimate`, and `estimate` is what a pretended card counts."""

import pytest

from tools import memory_table


def test_the_page_says_what_the_ladder_chooses():
    page = (memory_table.ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
    assert memory_table.ladder_table() in page, "run python tools/memory_table.py"


def test_an_estimate_is_what_a_card_counts():
    counted, estimated = memory_table.peak(memory_table.CASES[0], "off")
    assert counted == pytest.approx(estimated, rel=0.15)


@pytest.mark.parametrize(("network", "recomputing"), [("loha", "off"), ("dora", "on"), ("diag-oft", "off"), ("lokr", "off"), ("boft", "on")])
def test_an_estimate_of_another_network_is_what_a_card_counts(network, recomputing):
    """Without (IA)³: it reads a number, and these have none."""
    case = memory_table.Case(network, "sd1", {"lora": {"network": network, "text_encoder_lr": 0.0}})
    counted, estimated = memory_table.peak(case, recomputing)
    assert counted == pytest.approx(estimated, rel=0.15)


@pytest.mark.parametrize("recomputing", ["off", "on"])
def test_an_estimate_of_float32_is_what_a_card_counts(recomputing):
    case = memory_table.Case("float32", "sd1", {"lora": {"text_encoder_lr": 0.0}, "train": {"mixed_precision": "no"}})
    counted, estimated = memory_table.peak(case, recomputing)
    assert counted == pytest.approx(estimated, rel=0.15)
    assert counted < {"on": 5.5, "off": 7.5}[recomputing] * memory_table.GIB


BATCH = {"train": {"batch_size": 4}}


@pytest.mark.parametrize(("changes", "recomputing"), [
    ({"lora": {"text_encoder_lr": 0.0}}, "off"), ({"lora": {"text_encoder_lr": 0.0}}, "on"), ({"lora": {"network": "dora", "text_encoder_lr": 0.0}}, "off"),
    ({"method": "textual_inversion", "textual_inversion": {"token": "cat", "init_text": "cat"}}, "off"), ({"method": "hypernetwork"}, "off"),
], ids=["lora", "lora, recomputing", "dora", "embedding", "hypernetwork"])
def test_an_estimate_of_a_large_batch_is_what_a_card_counts(changes, recomputing):
    """There activations outweigh the model: whose error hides behind its weights at batch 1 is seen."""
    counted, estimated = memory_table.peak(memory_table.Case("batch", "sd1", changes | BATCH), recomputing)
    assert estimated == pytest.approx(counted, rel=0.08)
