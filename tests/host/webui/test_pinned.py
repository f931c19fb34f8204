"""The checkpoint is the run's while a run is on: neither hours of a hanging page, nor a model swapped under the run."""

import threading
import time

import pytest
import webui_probe

from lib_sdtune.config import Config
from lib_sdtune.sections.model import Model
from lib_sdtune.training.run import run
from lib_sdtune.training.runs import begin
from tests.hosts import pictures, settings
from tests.waiting import until


@pytest.fixture
def other(host):
    """The title of a second checkpoint; the first one is chosen again afterwards."""
    from modules import sd_models, shared

    mine = shared.sd_model.sd_checkpoint_info.title
    sd_models.list_models()  # a checkpoint that an earlier test trained may be listed and gone
    yield next(title for title in sd_models.checkpoints_list if title != mine)
    shared.opts.set("sd_model_checkpoint", mine)
    assert shared.sd_model.sd_checkpoint_info.title == mine


def change(title, answers):
    """As the settings page does it, in a thread of its own."""
    from modules import shared

    answers.append(shared.opts.set("sd_model_checkpoint", title))


def test_a_change_falls_back_at_once_and_is_made_after_the_run(host, other, capfd):
    from modules import sd_models, shared

    mine = shared.sd_model.sd_checkpoint_info.title
    with host.borrow(Model()) as model:
        answers = []
        page = threading.Thread(target=change, args=(other, answers))
        page.start()
        page.join(timeout=10)
        assert answers == [False], "the settings page must not wait for the lock"
        assert shared.opts.sd_model_checkpoint == mine or shared.opts.data["sd_model_checkpoint"] == mine
        waiting = host.deferred_settings()[0]
        assert waiting["value"] == sd_models.checkpoints_list[other].name_for_extra and waiting["checkpoint"]
        assert waiting["state"] == "waiting" and abs(waiting["asked"] - time.time()) < 60
        assert model.unet is shared.sd_model.model.diffusion_model
    log = capfd.readouterr().err
    assert "The change is noted" in log and "Traceback" not in log and ".py" not in log
    assert shared.sd_model.sd_checkpoint_info.title == other
    assert [(change["state"], change["value"]) for change in host.deferred_settings()] == [("done", waiting["value"])]
    shared.opts.set("sd_model_checkpoint", mine)
    assert host.deferred_settings() == [], "what was changed again since is no news"


def test_a_change_that_is_not_wanted_any_more_is_not_made(host, other):
    from modules import shared

    mine = shared.sd_model.sd_checkpoint_info.title
    with host.borrow(Model()):
        change(other, [])
        host.drop_deferred_setting("sd_model_checkpoint")
        assert host.deferred_settings() == []
    assert shared.sd_model.sd_checkpoint_info.title == mine and host.deferred_settings() == []


def test_a_change_that_fails_after_the_run_is_told(host, other, monkeypatch):
    from modules import shared

    with host.borrow(Model()):
        change(other, [])
        monkeypatch.setattr(type(shared.opts), "set", lambda *args, **kwargs: False)
    assert host.deferred_settings()[0]["state"] == "failed"
    host.drop_deferred_setting("sd_model_checkpoint")
    monkeypatch.undo()


def test_a_picture_with_another_checkpoint_is_refused_while_a_run_breathes(host, other, unchanged):
    from modules import shared

    models = []

    def user():
        with pytest.raises(RuntimeError, match="SD Tune is using"):
            webui_probe.draw(sd_model_checkpoint=other)
        models.append(shared.sd_model)

    with host.borrow(Model()) as model:
        generation = threading.Thread(target=user)
        generation.start()
        until(host.lock.waiting)
        host.yield_to_queue(model_as_it_is)
        generation.join(timeout=30)
        assert models == [host.borrowed.sd_model] and model.unet is shared.sd_model.model.diffusion_model


def test_the_model_cannot_be_unloaded_under_the_run(host, unchanged):
    from modules import sd_models

    with host.borrow(Model()), pytest.raises(RuntimeError, match="or stop it"):
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



def test_a_queued_run_and_its_resuming_train_what_was_loaded_at_its_start(host, other, tmp_path):
    from modules import sd_models, shared

    mine = shared.sd_model.sd_checkpoint_info
    images = pictures(tmp_path / "ron", count=2, size=(64, 64))
    config = Config.from_dict(settings(images, "mine", train={"max_train_steps": 3}))

    def interrupt(control):
        if control.state == "training" and control.step == 2:
            control.request("interrupt")

    control = begin(config, host, on_change=interrupt)
    assert shared.opts.set("sd_model_checkpoint", other) and shared.sd_model.sd_checkpoint_info.title == other
    run(config, host, control)
    assert control.snapshot()["model"] == mine.name_for_extra
    assert shared.sd_model.sd_checkpoint_info.title == other, "what the user loaded meanwhile is loaded again"
    resumed = begin(config, host, resume=True)
    run(config, host, resumed)
    assert resumed.snapshot()["model"] == mine.name_for_extra and resumed.step == 3
    assert shared.sd_model.sd_checkpoint_info.title == other
    assert host.about()["title"] == other and host.about(Model(checkpoint=mine.title))["title"] == mine.title
    assert sd_models.checkpoints_list


def test_a_refresh_of_the_list_hides_no_checkpoint(host, other):
    """Whoever refreshes empties the list while others read it: neither a failure nor another checkpoint comes of it."""
    from modules import sd_models, shared

    from lib_sdtune.host.webui import pinned

    full, over = dict(sd_models.checkpoints_list), threading.Event()
    aliases, mine = dict(sd_models.checkpoint_aliases), shared.sd_model.sd_checkpoint_info

    def refresh():
        while not over.is_set():
            sd_models.checkpoints_list.clear()
            sd_models.checkpoint_aliases.clear()
            over.wait(0.003)  # a folder of some hundred files
            sd_models.checkpoints_list.update(full)
            sd_models.checkpoint_aliases.update(aliases)
            over.wait(0.02)

    page = threading.Thread(target=refresh)
    page.start()
    try:
        for _ in range(20):
            assert pinned.chosen(mine.filename).title == mine.title
            assert pinned.chosen(other).title == other
            with host.borrow(Model(checkpoint=mine.filename)):
                assert shared.sd_model.sd_checkpoint_info.title == mine.title
    finally:
        over.set()
        page.join()
        sd_models.checkpoints_list.update(full)
        sd_models.checkpoint_aliases.update(aliases)


def test_a_lora_of_another_checkpoint_is_not_laid_over_the_loaded_one(host, other, images, monkeypatch):
    """The WebUI's own reader fails where a layer of that name is of another sort there."""
    def reading(*arguments):
        raise TypeError("object of type 'NoneType' has no len()")

    monkeypatch.setattr(type(host.fork), "lora_layers", reading)
    config = Config.from_dict(settings(images, "elsewhere", model={"checkpoint": other}))
    control = begin(config, host)
    run(config, host, control)
    assert control.state == "finished" and control.artefacts
