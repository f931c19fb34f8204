"""Which questions the teacher is asked, what they weigh, and which answers are kept."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lib_sdtune.config import Config
from lib_sdtune.data.loader import Example
from lib_sdtune.data.scan import Picture
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.training.batch import draw
from lib_sdtune.training.parallel import World
from lib_sdtune.training.teacher import MAX_QUESTIONS, LiveTeacher, StoredTeacher

MEAN = torch.zeros(4, 8, 8)
CACHE = SimpleNamespace(latents=lambda example: (MEAN, MEAN), concat=lambda example: None, mask=lambda example: torch.ones(1, 8, 8))


def example(index, occurrence=0, is_class=False, concept=0):
    picture = Picture(Path(f"{index}.png"), 64, 64, "ron", "file", str(index), 1, is_class, 1.0, concept, "ron")
    return Example(picture, index, occurrence, "ron", (64, 64), (0, 0), False, 1.0, (64, 64))


def teacher(kind=LiveTeacher, *first, gone=(), seed=0, **loss):
    """One that is asked about the class of concept 0 alone. gone: numbers of pictures that cannot be read."""
    config = Config.from_dict({"name": "ron", "concepts": [{"images": "x", "class_prompt": "a cat"}], "train": {"seed": seed},
                               "loss": {"prior_preservation": "teacher", "prior_loss_weight": 0.5, **loss}})
    encoded = SimpleNamespace(on=lambda device: None)
    pictures = SimpleNamespace(
        cache=CACHE, examples=lambda number: [example(number % 3, number // 3)],
        readable=lambda some: [each for each in some if each.picture.path.stem not in gone],
        text_cache=SimpleNamespace(prepare=lambda captions: None, conditioning=lambda captions: encoded))
    return kind(*first, config, ["a cat", ""], pictures, torch.device("cpu"), lambda batch, conditioning: batch.noise + 1, nullcontext)


def test_pictures_take_turns_in_every_epoch_and_from_one_to_the_next():
    asks = teacher(teacher_every_n_examples=4)
    asked = [[index for index in range(8) if asks.twins(0, [example(index, occurrence)])] for occurrence in range(8)]
    assert all(len(of_epoch) == 2 for of_epoch in asked)
    assert all(sum(index in of_epoch for of_epoch in asked) == 2 for index in range(8))


def test_a_question_is_the_picture_under_the_class_prompt_with_noise_of_its_own_and_no_mask():
    asks, subject = teacher(teacher_every_n_examples=1), example(2, 5)
    batch, = asks.batches(7, [subject])
    own = draw([subject], 7, CACHE, asks.config)
    assert batch.captions == ["a cat"] and own.masks is not None and batch.masks is None
    assert not torch.equal(batch.noise, own.noise) and torch.equal(batch.answers, batch.noise + 1)


@pytest.mark.parametrize("every", [1, 4])
def test_what_is_asked_seldom_counts_as_much(every):
    twin, = teacher(teacher_every_n_examples=every).twins(0, [example(0)])
    assert twin.weight == 0.5 * every


def test_class_pictures_and_concepts_without_a_class_are_not_asked_about():
    asks = teacher(teacher_every_n_examples=1)
    twins = asks.twins(0, [example(0, is_class=True), example(1, concept=1), example(2)])
    assert [twin.picture.path.name for twin in twins] == ["2.png"]
    assert asks.batches(0, [example(0, is_class=True)]) == []


def test_pictures_that_went_are_not_asked_about():
    asks = teacher(gone={"1"}, teacher_every_n_examples=1)
    batch, = asks.batches(0, [example(1), example(2)])
    assert [each.picture.path.name for each in batch.examples] == ["2.png"]
    assert asks.batches(0, [example(1)]) == []


def test_which_prompts_are_empty_is_chance_of_the_seed_the_picture_and_its_showing():
    def empty(seed, index=0):
        asks = teacher(seed=seed, teacher_every_n_examples=1, teacher_caption_dropout_rate=0.5)
        twins = [asks.twins(0, [example(index, occurrence)])[0] for occurrence in range(40)]
        assert {(twin.caption, twin.unconditional) for twin in twins} == {("", True), ("a cat", False)}
        return [twin.unconditional for twin in twins]

    assert empty(1) == empty(1) != empty(2) and empty(1) != empty(1, index=1)


def stored(tmp_path, steps=4, world=None, **changes):
    asks = teacher(StoredTeacher, tmp_path / "teacher.safetensors", teacher_every_n_examples=1, **changes)
    asks.prepare(steps, world or World(), lambda done, total, text: None)
    return asks


def test_answers_are_those_of_the_first_questions_which_come_round_again(tmp_path):
    asks = stored(tmp_path)
    for micro_step in (1, 5, 9):
        batch, = asks.batches(micro_step, [example(0)])
        assert batch.examples[0].picture.path.name == "1.png" and torch.equal(batch.answers, batch.noise + 1)
        assert asks.twins(micro_step, [example(0)]) == batch.examples


def test_no_more_questions_than_the_run_has_or_than_are_kept(tmp_path):
    kept = {}
    for steps in (4, MAX_QUESTIONS + 50):
        folder = tmp_path / str(steps)
        folder.mkdir()
        stored(folder, steps)
        kept[steps] = len(safetensors.read(folder / "teacher.safetensors")[0])
    assert kept == {4: 4, MAX_QUESTIONS + 50: MAX_QUESTIONS}


def test_a_resumed_run_goes_on_with_the_answers_that_are_there(tmp_path):
    stored(tmp_path)
    before = (tmp_path / "teacher.safetensors").read_bytes()
    again = teacher(StoredTeacher, tmp_path / "teacher.safetensors", teacher_every_n_examples=1)
    again.predict = lambda batch, conditioning: pytest.fail("the model is asked again")
    again.prepare(4, World(), lambda done, total, text: None)
    assert (tmp_path / "teacher.safetensors").read_bytes() == before and again.batches(2, [])


def test_an_answer_whose_picture_went_since_is_left_out(tmp_path):
    asks = stored(tmp_path)
    asks.training_data.examples = lambda number: [example(0), example(1)]  # as many as were asked about, and one more
    assert asks.batches(0, []) == []
    asks.training_data.readable = lambda some: []
    assert asks.batches(0, []) == []
