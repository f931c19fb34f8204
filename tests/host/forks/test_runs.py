"""Whole runs on a fork's own weights, which come back: the same bits in the same objects, and the same pictures."""

import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lib_sdtune import methods
from lib_sdtune.errors import RunError
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.sections.model import Model
from tests.host.forks import probe
from tests.hosts import pictures, settings, train
from tests.waiting import until

METHODS = {"lora": {}, "textual_inversion": {"textual_inversion": {"lr": 0.05}},
           "dreambooth": {"dreambooth": {"unet_lr": 1e-4, "text_encoder_lr": 1e-4}}}
WORN = "a cat <lora:worn:1>"


@pytest.fixture
def images(tmp_path):
    folder = pictures(tmp_path / "ron", count=1, size=(64, 64))
    (folder / "0.txt").unlink()
    return folder


def config(images, name, method="lora", **changes):
    prompt = "a photo of [name]" if method == "textual_inversion" else "a photo of ron"
    dataset = {"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 64}
    base = {"method": method, "overwrite": True, "concepts": [{"images": str(images), "prompt": prompt}],
            "dataset": dataset, "train": {"max_train_steps": 2}}
    return settings(images, name, **(base | METHODS[method] | changes))


@pytest.mark.parametrize("method", METHODS)
def test_a_run_gives_back_bits_objects_and_pictures(host, images, method):
    probe.make_lora("worn")
    plain, bits, worn = probe.draw(), probe.bits(probe.objects()), probe.draw(WORN)
    assert (plain != worn).any()
    with host.borrow(Model()):
        pass  # the last prompt's LoRA is off until the next prompt
    objects = probe.objects()
    samples = {"prompts": ["a cat", WORN], "every_n_steps": 1, "steps": 1} if method == "dreambooth" else {}
    control = train(host, config(images, f"0 {method}", method, sample=samples))
    assert control.state == "finished" and control.step == 2
    assert all(tensor is objects[name] for name, tensor in probe.objects().items())
    assert probe.bits(probe.objects()) == bits
    assert (probe.draw(WORN) == worn).all() and (probe.draw() == plain).all()


def test_what_is_lent_takes_a_gradient_before_and_after_a_picture(host):
    with host.borrow(Model()) as model:
        lent = [weight for _, part in model.modules() for weight in part.parameters()]
        for _ in range(2):
            now = [weight for _, part in model.modules() for weight in part.parameters()]
            assert all(a is b and not a.is_inference() for a, b in zip(lent, now, strict=True))
            context = model.family.encode_text(model, ["a cat"]).context
            noisy = torch.randn(1, 4, 8, 8, requires_grad=True)
            lent[0].requires_grad_(True)
            model.unet(noisy, torch.tensor([500]), context=context).square().mean().backward()
            assert noisy.grad.abs().sum() > 0 and lent[0].grad.abs().sum() > 0
            assert len(list(host.generate([SampleRequest(prompt="a cat", steps=1, width=64, height=64)]))) == 1


def test_a_retrained_file_of_the_same_name_is_drawn_at_once(host, images):
    train(host, config(images, "again"))
    first = probe.draw("a cat <lora:again:1>")
    train(host, config(images, "again", lora={"unet_lr": 0.1}))
    second = probe.draw("a cat <lora:again:1>")
    assert (first != second).any() and (first != probe.draw()).any()


def test_samples_show_the_training_and_may_wear_loras(host, images):
    probe.make_lora("worn")
    probe.draw(WORN)
    control = train(host, config(images, "shown", lora={"unet_lr": 0.1},
                                 sample={"prompts": ["a cat", WORN], "every_n_steps": 1, "steps": 1}))
    assert control.state == "finished"
    assert len({Path(sample).read_bytes() for sample in control.samples}) == 4


def test_samples_take_the_models_answer_for_what_the_settings_say(host):
    def sample(prediction_type):
        with host.borrow(Model(prediction_type=prediction_type)):
            return next(host.generate([SampleRequest(prompt="a cat", steps=1, width=64, height=64)])).tobytes()

    plain, objects = probe.draw(), probe.objects()
    assert sample("auto") == sample("epsilon") != sample("v_prediction")
    assert (probe.draw() == plain).all() and probe.objects().keys() == objects.keys()


@pytest.mark.parametrize("method", ["lora", "dreambooth"])
def test_a_user_draws_with_loras_during_a_run_which_learns_the_same(host, images, method):
    def interrupting(control):
        if control.state == "training" and control.step == 1 and not user.ident:
            user.start()
            until(host.lock.waiting)

    probe.make_lora("worn")
    expected, drawn = probe.draw(WORN), []
    alone = train(host, config(images, "alone", method))
    user = threading.Thread(target=lambda: drawn.append(probe.draw(WORN)))
    beside = train(host, config(images, "beside", method), watch=interrupting)
    user.join()
    assert beside.state == "finished" and (drawn[0] == expected).all()
    same_files(alone, beside)


def same_files(*controls):
    a, b = (load_file(control.artefacts[0]) for control in controls)
    assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_a_run_is_resumed(host, images):
    def stop(control):
        if control.state == "training" and control.step == 1:
            control.request("stop_without_saving")

    probe.make_lora("worn")
    whole = train(host, config(images, "whole"))
    train(host, config(images, "broken", save={"state_every_n_steps": 1}), watch=stop)
    probe.draw(WORN)
    same_files(whole, train(host, config(images, "broken", save={"state_every_n_steps": 1}), resume=True))


def test_a_file_with_keys_that_fit_no_layer_is_told(host, images, monkeypatch):
    monkeypatch.setattr(type(host.fork), "lora_layers", lambda *arguments: {"lora_unet_mid_block_attentions_0_proj_in"})
    with pytest.raises(RunError, match="finds no layer"):
        train(host, config(images, "strange"))


def test_hypernetworks_are_refused_where_no_picture_would_use_them(host):
    assert "draws without hypernetworks" in host.why_unusable("hypernetworks") and not host.why_unusable("lora")
    assert methods.usable(host.why_unusable) == ["lora", "dreambooth", "textual_inversion"]


def test_a_finished_checkpoint_is_not_what_the_next_run_trains(host, images):
    """reForge takes the first of the list where no option names one."""
    from modules import shared

    before = shared.sd_model.sd_checkpoint_info.filename
    train(host, config(images, "00 first of the list", "dreambooth"))
    control = train(host, config(images, "next"))
    assert control.state == "finished"
    assert shared.sd_model.sd_checkpoint_info.filename == before
