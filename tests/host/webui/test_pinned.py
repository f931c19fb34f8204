"""The checkpoint is the run's while a run is on: neither hours of a hanging page, nor a model swapped under the run."""

import threading

import house
import pytest

from lib_sdtune.config import Model
from tests.waiting import until


@pytest.fixture
def other(host):
    """The title of a second checkpoint; the first one is chosen again afterwards."""
    from modules import sd_models, shared

    mine = shared.sd_model.sd_checkpoint_info.title
    yield next(title for title in sd_models.checkpoints_list if title != mine)
    shared.opts.set("sd_model_checkpoint", mine)
    assert shared.sd_model.sd_checkpoint_info.title == mine


def change(title, answers):
    """As the settings page does it, in a thread of its own."""
    from modules import shared

    answers.append(shared.opts.set("sd_model_checkpoint", title))


def test_a_change_falls_back_at_once_and_is_made_after_the_run(host, other):
    from modules import shared

    mine = shared.sd_model.sd_checkpoint_info.title
    with host.borrow(Model()) as model:
        answers = []
        page = threading.Thread(target=change, args=(other, answers))
        page.start()
        page.join(timeout=10)
        assert answers == [False], "the settings page must not wait for the lock"
        assert shared.opts.sd_model_checkpoint == mine or shared.opts.data["sd_model_checkpoint"] == mine
        assert other in host.note()
        assert model.unet is shared.sd_model.model.diffusion_model
    assert shared.sd_model.sd_checkpoint_info.title == other
    assert host.note() == ""


def test_a_picture_with_another_checkpoint_is_refused_while_a_run_breathes(host, other, unchanged):
    from modules import shared

    told = []

    def user():
        with pytest.raises(RuntimeError, match="SD Tune is training on"):
            house.draw(sd_model_checkpoint=other)
        told.append(shared.sd_model)

    with host.borrow(Model()) as model:
        generation = threading.Thread(target=user)
        generation.start()
        until(host.lock.waiting)
        host.yield_to_queue(model_as_it_is)
        generation.join(timeout=30)
        assert told == [host.sd_model] and model.unet is shared.sd_model.model.diffusion_model


def test_the_model_cannot_be_unloaded_under_the_run(host, unchanged):
    from modules import sd_models

    with host.borrow(Model()), pytest.raises(RuntimeError, match="stop that run"):
        sd_models.unload_model_weights()


def test_a_run_may_ask_for_another_checkpoint_and_the_first_one_returns(host, other):
    from modules import sd_models, shared

    mine = shared.sd_model.sd_checkpoint_info
    shared.opts.set("sd_model_checkpoint", other)
    name = sd_models.checkpoints_list[mine.title].name
    with host.borrow(Model(checkpoint=name)) as model:
        assert shared.sd_model.sd_checkpoint_info.title == mine.title and model.unet is shared.sd_model.model.diffusion_model
    assert shared.sd_model.sd_checkpoint_info.title == other


def model_as_it_is():
    from contextlib import nullcontext

    return nullcontext()

