"""What is measured, at which noise and timesteps, and what the columns are the mean of."""

from types import SimpleNamespace

import pytest
import torch

from lib_sdtune.config import Config
from lib_sdtune.training import validation
from lib_sdtune.training.step_result import Step
from lib_sdtune.training.validation import Validation


class Example(SimpleNamespace):
    size = scaled = (64, 64)
    crop, flip, caption = (0, 0), False, "a cat"


def examples(count, first=0, size=(64, 64)):
    return [Example(index=number, size=size, picture=SimpleNamespace(content=f"content {number}", width=64, height=64))
            for number in range(first, first + count)]


class Pictures:
    """As much of `TrainingData` as is measured; `gone` are the numbers of pictures that cannot be read any more."""

    def __init__(self, aside=(), trained=(), of_class=(), mask=None):
        self.aside, self.trained, self.of_class, self.gone = list(aside), list(trained), list(of_class), set()
        self.cache = SimpleNamespace(latents=lambda example: (torch.full((4, 8, 8), float(example.index)), None),
                                     concat=lambda example: None, mask=lambda example: mask)

    def held_out(self):
        return self.aside

    def unaugmented_examples(self, is_class):
        return self.of_class if is_class else self.trained

    def readable(self, some):
        return [example for example in some if example.index not in self.gone]


def measuring(pictures, losses=lambda batch: torch.ones(len(batch.latents)), every=10, **sections):
    config = Config.from_dict({"name": "ron", "concepts": [{"images": "x"}], **sections})
    return Validation(config, pictures, losses, torch.device("cpu"), every)


def step(number, last=False, epoch_ends=False):
    return Step(number, 1, epoch_ends, last, 0.0, 0.0, 0.0, 0)


def seen(pictures, **sections):
    """{column: [(picture's number, timestep, noise)]} of one measurement."""
    batches = []

    def losses(batch):
        batches.append(batch)
        return torch.ones(len(batch.latents))

    measure = measuring(pictures, losses, **sections)
    found = {}
    for column, some in measure.sets.items():
        if not some:
            continue
        batches.clear()
        measure.measure(some)
        found[column] = [(example.index, int(timestep), noise) for batch in batches
                         for example, timestep, noise in zip(batch.examples, batch.timesteps, batch.noise, strict=True)]
    return found


def test_each_picture_is_measured_at_the_same_timesteps_each_with_noise_of_its_own():
    shown = seen(Pictures(examples(2), examples(2, 10)), noise={"min_timestep": 100, "max_timestep": 900}, train={"batch_size": 3})
    assert [timestep for index, timestep, _ in shown["val_loss"] if index == 0] == [150, 250, 350, 450, 550, 650, 750, 850]
    noises = [noise for entries in shown.values() for _, _, noise in entries]
    assert len(noises) == 32
    assert not any(torch.equal(one, other) for number, one in enumerate(noises) for other in noises[:number])


def test_noise_is_of_the_picture_and_its_size_whatever_its_number_and_the_runs_seed():
    (first,), (moved,) = examples(1), examples(1)
    moved.index = 7
    noises = [seen(Pictures([example]), train={"seed": seed})["val_loss"][0][2] for example, seed in ((first, 1), (moved, 2))]
    assert torch.equal(*noises)
    tall, = examples(1, size=(64, 72))
    assert not torch.equal(noises[0], seen(Pictures([tall]))["val_loss"][0][2])


def test_columns_are_means_over_pictures_and_timesteps():
    measure = measuring(Pictures(examples(2), examples(1, 10), examples(1, 20)), lambda batch: batch.timesteps + 1000.0 * batch.latents[:, 0, 0, 0])
    row = measure.measure_if_due(step(10))
    assert [row[f"val_q{quarter}"] for quarter in (1, 2, 3, 4)] == pytest.approx([624.5, 874.5, 1124.5, 1374.5], abs=1)
    assert [row[column] for column in ("val_loss", "fit_loss", "class_loss")] == pytest.approx([999.5, 10499.5, 20499.5], abs=1)


def test_as_many_trained_pictures_as_kept_aside_and_no_more_than_tell_something():
    sets = measuring(Pictures(examples(5), examples(40, 100), examples(40, 200))).sets
    assert {column: len(some) for column, some in sets.items()} == {"val_loss": 5, "fit_loss": 5, "class_loss": validation.MAX_PICTURES}
    assert len(measuring(Pictures(examples(40))).sets["val_loss"]) == validation.MAX_PICTURES
    alone = measuring(Pictures([], examples(40)), train={"stop": "auto"}).sets
    assert {column: len(some) for column, some in alone.items()} == {"fit_loss": validation.MAX_TRAINED_ALONE}
    assert measuring(Pictures([], examples(40))).sets == {}


def test_which_are_measured_depends_on_their_content_alone():
    """Not on their order, which another name of a folder changes."""
    forward = examples(40)
    backward = [Example(index=number, picture=example.picture) for number, example in enumerate(reversed(forward))]
    chosen = [{example.picture.content for example in measuring(Pictures(some)).sets["val_loss"]} for some in (forward, backward)]
    assert chosen[0] == chosen[1] != {example.picture.content for example in forward[:validation.MAX_PICTURES]}


def test_it_is_measured_every_so_many_steps_or_at_epochs_ends_and_always_at_the_last():
    pictures = Pictures(examples(1))
    steps, epochs = measuring(pictures), measuring(pictures, every=0)
    assert [measure.is_due(step(20)) for measure in (steps, epochs)] == [True, False]
    assert [measure.is_due(step(25, epoch_ends=True)) for measure in (steps, epochs)] == [False, True]
    assert [measure.is_due(step(25, last=True)) for measure in (steps, epochs)] == [True, True]
    assert steps.measure_if_due(step(25)) == {} != steps.measure_if_due(step(30))


def test_pictures_that_went_are_left_out_and_where_all_kept_aside_went_nothing_is_measured():
    pictures = Pictures(examples(2), examples(2, 10))
    measure = measuring(pictures, lambda batch: batch.latents[:, 0, 0, 0])
    pictures.gone = {0, 10, 11}
    row = measure.measure_if_due(step(10))
    assert row["val_loss"] == 1.0 and "fit_loss" not in row
    pictures.gone = {0, 1}
    assert measure.measure_if_due(step(10)) == {}


def test_a_mask_counts_as_it_does_in_training():
    mask = torch.rand(1, 8, 8)
    masks = []
    measuring(Pictures(examples(1), mask=mask), lambda batch: masks.append(batch.masks) or torch.ones(len(batch.latents))).measure_if_due(step(10))
    assert masks and all(torch.equal(each, mask) for batch in masks for each in batch)


def test_what_drops_out_at_random_is_the_same_each_time():
    measure = measuring(Pictures(examples(2)), lambda batch: torch.rand(len(batch.latents)))
    first = measure.measure_if_due(step(10))
    torch.rand(3)
    assert measure.measure_if_due(step(20)) == first
