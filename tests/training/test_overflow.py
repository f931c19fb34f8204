"""Numbers that are not finite: each side that can be at fault is told from the others, and gets advice that helps."""

from functools import partial

import pytest
import torch

from lib_sdtune.errors import RunError, UserError
from lib_sdtune.failures import explain
from lib_sdtune.training import overflow
from tests.hosts import settings, train
from tests.models import tiny_sd1

OUT = "model.diffusion_model.out.2.bias"
HUGE = 3e38  # finite, and its square is not


def fill(tensor, value):
    with torch.no_grad():
        tensor.fill_(value)


def at_step(number, change):
    """A watcher that changes something after a step."""
    def watch(control):
        if control.state == "training" and control.step == number:
            change()

    return watch


def advice(host, config, error=RunError, **options):
    """(sentence, settings that the tab offers) for a run that ends with an error."""
    with pytest.raises(error) as caught:
        train(host, config, **options)
    return str(caught.value), explain(str(caught.value), config)["settings"]


@pytest.mark.parametrize("method", ["lora", "dreambooth", "textual_inversion", "hypernetwork"])
def test_a_tensor_that_holds_no_numbers_is_named_before_the_first_step(host, images, method):
    fill(host.model.unet.out[2].bias, float("nan"))
    message, offered = advice(host, settings(images, method=method), UserError)
    assert OUT in message and "Choose another checkpoint" in message and not offered


@pytest.mark.parametrize(("part", "flag"), [("unet", "--no-half,"), ("vae", "--no-half-vae,")])
def test_what_became_infinite_in_half_precision_is_no_damage(host, images, part, flag):
    module = getattr(host.model, part)
    tensor = next(iter(module.parameters()))
    tensor.data = tensor.data.half()
    fill(tensor, float("inf"))
    message, _ = advice(host, settings(images), UserError)
    assert flag in message and "damaged" not in message and "learning rate" not in message


def test_what_the_file_cannot_hold_is_named_before_the_first_step(host, images):
    fill(host.model.vae.decoder.conv_in.bias, 1e5)
    dream = partial(settings, images, method="dreambooth", dreambooth={"unet_lr": 1e-4})
    message, offered = advice(host, dream(save={"precision": "fp16"}), UserError)
    assert "first_stage_model.decoder.conv_in.bias" in message and offered == {"save.precision": "float"}
    assert train(host, dream(train={"max_train_steps": 1})).state == "finished"


def test_an_embedding_is_named_where_captions_name_it(host, images):
    host.model.embeddings = {"number": torch.full((1, 16), float("nan")), "unnamed": torch.full((1, 16), float("nan"))}
    message, offered = advice(host, settings(images), UserError)
    assert 'embedding "number"' in message and not offered
    for file in images.glob("*.txt"):
        file.write_text("a cat", encoding="utf-8")
    assert train(host, settings(images)).state == "finished"


def test_a_vae_that_fails_at_every_picture_is_at_fault_itself(host, images):
    fill(host.model.vae.encoder.conv_in.weight, HUGE)
    fill(host.model.vae.encoder.conv_in.bias, HUGE)
    message, offered = advice(host, settings(images))
    assert "it is the VAE" in message and "Choose another one" in message and "Remove" not in message and not offered


def test_a_text_encoder_that_fails_at_every_caption_is_at_fault_itself(host, images):
    fill(host.model.text_encoders[0].text_model.final_layer_norm.weight, HUGE)
    message, offered = advice(host, settings(images, lora={"text_encoder_lr": 0.0}))
    assert "whatever the caption" in message and offered == {"train.mixed_precision": "no"}


@pytest.mark.parametrize("changes", [{}, {"method": "dreambooth"}], ids=["lora", "dreambooth"])
def test_a_model_that_overflows_from_the_start_does_not_blame_the_rate(host, images, changes):
    fill(host.model.unet.out[2].bias, HUGE)
    message, offered = advice(host, settings(images, train={"max_train_steps": 12}, **changes))
    assert "before anything was learned" in message and "Choose another checkpoint" in message and not offered
    message, _ = advice(host, settings(images, "few", **changes))
    assert "before anything was learned" in message


@pytest.mark.parametrize("method", ["lora", "textual_inversion"])
def test_a_model_that_overflows_later_is_tried_without_what_was_learned(host, images, method):
    change = partial(fill, host.model.unet.out[2].bias, HUGE)
    config = settings(images, method=method, train={"max_train_steps": 40})
    message, _ = advice(host, config, watch=at_step(2, change))
    assert message.startswith("10 steps in a row") and "without what was learned" in message


def test_a_tensor_that_was_spoilt_meanwhile_is_named(host, images):
    change = partial(fill, host.model.unet.out[2].bias, float("nan"))
    message, offered = advice(host, settings(images, train={"max_train_steps": 40}), watch=at_step(2, change))
    assert OUT in message and "Load the checkpoint again" in message and not offered


def test_the_rate_is_to_blame_where_everything_else_is_sound(images):
    message = overflow.diagnose(tiny_sd1(), [], torch.float32, 5, lambda: True)
    assert "sound, so it is the learning rate" in message
    assert explain(message, settings(images))["settings"] == {"lora.unet_lr": 3.3e-4, "lora.text_encoder_lr": 3.3e-4}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_in_half_precision_the_remedy_is_float32(dtype):
    message = overflow.diagnose(tiny_sd1(), [], dtype, 0, None)
    assert explain(message)["settings"] == {"train.mixed_precision": "no"}
