"""The losses of single pictures."""

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from lib_sdtune.training.per_image_loss import PerImageLoss, judged, read


@dataclass
class Picture:
    path: Path
    caption: str = "a cat"
    is_class: bool = False


PICTURES = [Picture(Path(f"/pictures/{number}.png")) for number in range(8)]


def trained(losses, first=0, last=60, seed=1):
    """Picture 0 stays twice as hard as usual, picture 1 is learned by heart, picture 2 is easy from the start."""
    for showing in range(first, last):
        for index in range(8):
            chance = random.Random(f"{seed} {showing} {index}")
            timestep = chance.randrange(1000)
            factor = {0: 2.0, 1: 0.35 if showing > 25 else 1.0, 2: 0.6}.get(index, 1.0)
            loss = (0.5 - 0.45 * timestep / 1000) * factor * chance.lognormvariate(0, 0.2)  # fine timesteps cost ten times as much
            losses.note([index], [timestep], [loss])


def test_like_is_compared_with_like(tmp_path):
    losses = PerImageLoss(PICTURES, tmp_path)
    trained(losses)
    rows = {row["index"]: row for row in losses.rows()}
    assert [row["index"] for row in losses.rows()][0] == 0
    assert {index: row["verdict"] for index, row in rows.items() if row["verdict"]} == {0: "hard", 1: "memorised"}
    assert rows[0]["factor"] == pytest.approx(2, rel=0.35) and rows[1]["factor"] < 0.5 < rows[1]["early"]


@pytest.mark.parametrize("fall", [0.0, 1.0])
def test_chance_and_what_all_of_them_do_is_not_judged(tmp_path, fall):
    """Looked at again and again, as a user does, also while the loss of every picture falls."""
    verdicts = []
    for seed in range(20):
        losses = PerImageLoss(PICTURES, tmp_path)
        for showing in range(40):
            for index in range(8):
                chance, own = random.Random(f"{seed} {showing} {index}"), random.Random(f"{seed} {index}").gauss(0, 0.1)
                losses.note([index], [chance.randrange(1000)], [math.exp(own - fall * (1 - math.exp(-showing / 6)) + chance.gauss(0, 0.3))])
            verdicts += [row["verdict"] for row in losses.rows() if row["shown"] > 12]
    assert verdicts.count("memorised") < 0.003 * len(verdicts) and verdicts.count("hard") < 0.05 * len(verdicts)


def test_bad_losses_count_for_nothing(tmp_path):
    sound, disturbed = PerImageLoss(PICTURES, tmp_path), PerImageLoss(PICTURES, tmp_path)
    trained(sound)
    for showing in range(60):
        for index in range(8):
            chance = random.Random(f"1 {showing} {index}")
            timestep = chance.randrange(1000)
            factor = {0: 2.0, 1: 0.35 if showing > 25 else 1.0, 2: 0.6}.get(index, 1.0)
            loss = (0.5 - 0.45 * timestep / 1000) * factor * chance.lognormvariate(0, 0.2)
            disturbed.note([index], [timestep], [loss])
            disturbed.note([index, index], [timestep, timestep], [float("nan"), float("inf")])
    for a, b in zip(sound.rows(), disturbed.rows(), strict=True):
        assert a == pytest.approx(b)


def test_a_resumed_board_is_the_uninterrupted_one(tmp_path):
    whole, broken = PerImageLoss(PICTURES, tmp_path), PerImageLoss(PICTURES, tmp_path)
    trained(whole)
    trained(broken, last=30)
    resumed = PerImageLoss(PICTURES, tmp_path)
    resumed.load(json.loads(json.dumps(broken.state())))
    trained(resumed, first=30)
    assert resumed.rows() == whole.rows() and resumed.state() == whole.state()


def test_the_file_is_read_back(tmp_path):
    assert read(tmp_path) == {"step": 0, "pictures": []}
    losses = PerImageLoss(PICTURES, tmp_path)
    trained(losses)
    losses.write(60, at_once=True)
    board = read(tmp_path)
    assert board["step"] == 60 and board["pictures"][0]["file"] == "0.png" and board["pictures"][0]["path"] == str(PICTURES[0].path)


@pytest.mark.parametrize(("showings", "early", "lately", "error", "verdict"), [
    (12, 0.0, 0.5, 0.1, "hard"), (11, 0.0, 0.5, 0.1, ""), (12, 0.0, 0.2, 0.01, ""), (12, 0.0, 0.5, 0.3, ""),
    (12, 1.0, 0.5, 0.1, ""),  # hard at the start, and on its way down
    (12, 0.0, -1.0, 0.1, "memorised"), (11, 0.0, -1.0, 0.1, ""), (12, 0.0, -0.2, 0.01, ""), (12, 0.0, -0.5, 0.3, ""),
    (12, 0.6, -0.3, 0.2, ""),  # far below its start, and hardly below the others
    (12, -0.9, -1.0, 0.1, ""),  # easy from the start
    (12, -0.7, -1.0, 0.1, "")])  # the start was measured on half as many showings, so its error is larger
def test_a_verdict_needs_size_and_certainty(showings, early, lately, error, verdict):
    """In logarithms: 1.25 and 0.8 times the others' are ±0.223."""
    assert judged(showings, early, lately, error) == verdict


def board(tmp_path, classes, **lately):
    """Of pictures "p0", "p1", …, those in `classes` being of the class, with these differences from what is usual."""
    pictures = [Picture(Path(f"/pictures/{number}.png"), is_class=number in classes) for number in range(8)]
    losses = PerImageLoss(pictures, tmp_path)
    losses.load({"usual": losses.usual, "spread": [100, 0.01], "known": {name[1:]: [12, 0.1, 0.0, value] for name, value in lately.items()}})
    return {row["index"]: row["factor"] for row in losses.rows()}


def test_a_picture_is_compared_with_those_of_the_subject(tmp_path):
    assert board(tmp_path, {2, 3, 4}, p0=0.1, p1=0.1, p2=-1.0, p3=-1.0, p4=-1.0)[0] == 1.0


def test_where_there_are_class_pictures_alone_they_are_compared_with_each_other(tmp_path):
    assert board(tmp_path, {0, 1, 2}, p0=0.5, p1=0.5, p2=0.5)[0] == 1.0


def test_it_is_written_now_and_then_and_at_the_end(tmp_path):
    losses = PerImageLoss(PICTURES, tmp_path)
    for step, at_once, written in ((1, False, 1), (2, False, 1), (3, True, 3)):
        losses.write(step, at_once)
        assert read(tmp_path)["step"] == written
