"""The order of files and the recommended strength, from made-up measures."""

import pytest
import torch

from lib_sdtune.evaluation import measures
from lib_sdtune.evaluation.ranking import ranked, strength


def entry(label, step, subject, prompt=1.0, variety=1.0, copies=0.0, val_loss=None):
    return {"label": label, "step": step, "subject": subject, "prompt": prompt, "variety": variety, "copies": copies, "val_loss": val_loss}


UNDER, WELL = entry("under", 100, 0.15), entry("well", 500, 0.8, 0.95, 0.9)


@pytest.mark.parametrize("over", [entry("over", 2000, 0.9, 0.3), entry("over", 2000, 0.95, 0.9, 0.2),
                                  entry("over", 2000, 0.95, 0.9, 0.9, 0.5), entry("over", 2000, 1.4, 0.5, 0.5, 0.2)])
def test_under_and_over_trained_files_stand_behind(over):
    order = ranked([UNDER, WELL, over])
    assert order[0]["label"] == "well" and order[0]["score"] > order[1]["score"]


def test_a_rising_validation_loss_counts():
    order = ranked([entry("a", 500, 0.8, val_loss=0.1), entry("b", 1000, 0.85, val_loss=0.112)], memorises=700)
    assert [ranked_entry["label"] for ranked_entry in order] == ["a", "b"]
    assert any("step 700" in reason for reason in order[1]["reasons"]) and not any("700" in reason for reason in order[0]["reasons"])


def test_as_good_but_earlier_goes_first():
    assert ranked([entry("later", 1000, 0.80), entry("earlier", 500, 0.79)])[0]["label"] == "earlier"
    assert ranked([entry("later", 1000, 0.80), entry("earlier", 500, 0.60)])[0]["label"] == "later"


def test_reasons_name_what_was_measured_and_nothing_else():
    best, worst = ranked([WELL, entry("copying", 900, 0.9, 0.9, 0.4, 0.25)])
    text = " ".join(worst["reasons"])
    assert "25 %" in text and "copies" in text and "variety" in text and "kept aside" not in text
    silent = ranked([entry("x", 1, 0.5, None, None)])[0]["reasons"]
    assert len(silent) == 1 and "50 %" in silent[0]
    three = ranked([UNDER, WELL, entry("middle", 300, 0.5)])
    assert three[0]["reasons"][0].startswith("shows the subject better than the next one: 80 and 50 %")
    assert three[2]["reasons"][0].startswith("shows the subject least (15 %")


@pytest.mark.parametrize("winner, loser, first", [
    ({"subject": 0.4}, {"subject": 0.9, "copies": 1.0}, "copies no training picture; the other one does in 100 % of its pictures"),
    ({"subject": 0.4, "copies": 0.1}, {"subject": 0.9, "copies": 1.0}, "copies training pictures less than the other one: in 10 and 100 % of its pictures"),
    ({"subject": 0.8}, {"subject": 0.2}, "shows the subject better than the other one: 80 and 20 %"),
    ({"subject": 0.6}, {"subject": 0.8, "prompt": 0.3}, "follows the prompt better than the other one: 100 and 30 %"),
    ({"subject": 0.6}, {"subject": 0.7, "variety": 0.1}, "its seeds differ more than those of the other one: 100 and 10 %"),
    ({"subject": 0.8, "val_loss": 0.1}, {"subject": 0.85, "val_loss": 0.15}, "its loss on pictures kept aside is lower than that of the other one")])
def test_the_first_reason_of_the_first_file_is_why_it_won(winner, loser, first):
    best, worst = ranked([entry("loser", 200, **loser), entry("winner", 100, **winner)])
    assert best["label"] == "winner" and best["reasons"][0].startswith(first)
    both = " ".join(best["reasons"] + worst["reasons"])
    assert not any(word in both for word in (" least", " best"))
    assert sum("training picture" in reason and "copies" in reason for reason in best["reasons"]) <= 1


def test_the_proposed_one_is_not_called_the_least_of_many():
    files = [entry("winner", 100, 0.4), entry("b", 200, 0.9, copies=1.0), entry("c", 300, 0.95, copies=1.0)]
    assert "shows the subject somewhat (40 %" in " ".join(ranked(files)[0]["reasons"])


def test_an_earlier_file_that_is_as_good_says_so():
    assert ranked([entry("later", 1000, 0.80), entry("earlier", 500, 0.79)])[0]["reasons"][0] == (
        "was trained less than the other one, and is as good: 0.79 and 0.80 of 1")


def test_what_reads_the_same_is_called_the_same():
    first, second = (" ".join(entry["reasons"]) for entry in ranked([entry("a", 1, 0.1501), entry("b", 2, 0.1499), entry("c", 3, 0.01)])[:2])
    assert "best (15 %" in first and "best (15 %" in second


def curve(*points):
    return [{"weight": w, "subject": s, "prompt": p} for w, s, p in points]


def test_strength_is_where_both_hold():
    recommendation = strength(curve((0.2, 0.2, 1.0), (0.6, 0.7, 0.95), (1.0, 0.95, 0.5), (1.2, 1.0, 0.3)))
    assert recommendation["weight"] == 0.6 and recommendation["stops_at"] == 1.0 and "0.6" in recommendation["sentence"]


def test_a_file_that_obeys_to_the_end_is_used_at_one():
    recommendation = strength(curve((0.4, 0.5, 1.0), (0.8, 0.94, 1.0), (1.0, 0.96, 0.99), (1.2, 0.97, 0.98)))
    assert recommendation["weight"] == 1.0 and recommendation["stops_at"] is None


def test_nobody_is_sent_beyond_one_without_knowing_what_it_costs():
    assert strength(curve((0.5, 0.3, None), (1.0, 0.5, None), (1.2, 0.7, None)))["weight"] == 1.0
    assert strength(curve((0.5, 0.3, 1.0), (1.0, 0.5, 1.0), (1.2, 0.7, 1.0)))["weight"] == 1.2


def test_obedience_that_comes_back_is_noise():
    assert strength(curve((0.4, 0.5, 1.0), (0.6, 0.6, 0.7), (0.8, 0.8, 0.95), (1.0, 0.9, 0.95)))["stops_at"] is None


def test_obedience_is_graded_by_how_far_the_other_prompts_are_behind():
    """Half of what is asked for still beats every other prompt, and is worth about half."""
    rows, asked = [0, 1, 2], torch.eye(3)
    usual = float(measures.margins(asked, rows).mean())
    grades = [measures.adherence(float(measures.margins(share * asked - 5, rows).mean()), usual) for share in (1.2, 1, 0.5, 0, -1)]
    assert grades == pytest.approx([1, 1, 0.5, 0, 0], abs=1e-5)
    assert measures.recognised(0.5 * asked, rows).tolist() == [1, 1, 1]
    assert measures.adherence(1.0, 0.0) == 0


def test_one_subject_may_vary_less_than_all_that_the_bare_model_draws():
    alike, varied = entry("alike", 500, 0.8, variety=0.1), entry("varied", 500, 0.8, variety=0.6)
    by_label = {ranked_entry["label"]: ranked_entry for ranked_entry in ranked([alike, varied, entry("free", 500, 0.8)])}
    assert by_label["varied"]["score"] == by_label["free"]["score"] > 2 * by_label["alike"]["score"]
    assert any("seeds differ less" in reason for reason in by_label["alike"]["reasons"])
