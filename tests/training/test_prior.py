"""Prior preservation: the loss is the paper's, by pictures or by a teacher, and the teacher is the untouched model."""

import math
from dataclasses import replace

import pytest
import torch

from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.sentences import PARTS, coded
from lib_sdtune.training import per_image_loss, prior, state
from lib_sdtune.training.batch import draw
from lib_sdtune.training.runs import RunFolder, begin
from lib_sdtune.training.trainer import Trainer
from tests.hosts import TinyHost, bits, pictures, settings, train
from tests.models import SHALLOW


@pytest.fixture
def host(tmp_path):
    host = TinyHost(tmp_path / "data")
    host.model.folder = host.folder
    return host


def by_pictures(tmp_path, **changes):
    concept = {"images": str(pictures(tmp_path / "ron")), "prompt": "a photo of ron cat",
               "class_images": str(pictures(tmp_path / "cats")), "class_prompt": "a photo of a cat"}
    return settings("", concepts=[concept], loss={"prior_loss_weight": 0.25},
                    **{"train": {"batch_size": 6, "max_train_steps": 1}, **changes})


def by_teacher(tmp_path, **changes):
    folder = tmp_path / "ron"
    folder = folder if folder.exists() else pictures(folder)
    concept = {"images": str(folder), "prompt": "a photo of ron cat", "class_prompt": "a photo of a cat"}
    return settings("", concepts=[concept], loss={"prior_loss_weight": 0.5, "prior_preservation": "teacher", "teacher_every_n_examples": 1},
                    **{"train": {"max_train_steps": 3}, **changes})


def by_hand(model, batch):
    """(B,) |target - prediction|^2 of every example at its timestep, one by one, from the published formulas.

    The target is the noise, or v = sqrt(abar) noise - sqrt(1 - abar) latents (Salimans & Ho 2022, arXiv 2202.00512).
    """
    errors = []
    for row in range(len(batch.latents)):
        abar = model.alphas_cumprod[batch.timesteps[row]]
        noisy = abar.sqrt() * batch.latents[row] + (1 - abar).sqrt() * batch.noise[row]
        velocity = abar.sqrt() * batch.noise[row] - (1 - abar).sqrt() * batch.latents[row]
        target = velocity if model.prediction_type == "v_prediction" else batch.noise[row]
        conditioning = model.family.encode_text(model, [batch.captions[row]])
        with torch.no_grad():
            errors.append((model.unet(noisy[None], batch.timesteps[row][None], context=conditioning.context)[0] - target).square().mean())
    return torch.stack(errors)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("method", ["lora", "dreambooth"])
def test_the_loss_is_instance_plus_weighted_prior(host, tmp_path, method, prediction):
    """SD1 predicts the noise; SD2 and later families the velocity."""
    host.model.variant = replace(host.model.variant, prediction_type=prediction)
    config = Config.from_dict(by_pictures(tmp_path, method=method))
    control = begin(config, host)
    with Trainer(config, host.model, control) as trainer:
        examples = trainer.training_data.examples(0)
        assert sorted(e.picture.is_class for e in examples) == [False] * 3 + [True] * 3
        batch = draw(examples, 0, trainer.training_data.cache, config)
        plain = by_hand(host.model, batch)
        subject = torch.tensor([not example.picture.is_class for example in examples])
        expected = (plain[subject].sum() + 0.25 * plain[~subject].sum()) / 6
        assert trainer.advance().loss == pytest.approx(float(expected), rel=1e-4)


def test_class_pictures_that_do_not_count_are_in_the_table_of_losses(host, tmp_path):
    config = by_pictures(tmp_path, train={"batch_size": 1, "max_train_steps": 8})
    config["loss"]["prior_loss_weight"] = 0
    control = train(host, config)
    assert control.state == "finished"
    assert all(math.isfinite(row["loss"]) and not row["skipped"] for row in RunFolder(control.folder).log())
    rows = per_image_loss.read(control.folder)["pictures"]
    assert {row["class"] for row in rows} == {True, False} and all(row["loss"] > 0 for row in rows)


def test_what_a_teacher_adds_is_no_part_of_the_loss_that_is_told(host, tmp_path):
    """5 pictures, two micro-batches of 4 and 1: the mean of what the pictures leave, to compare with other trainers' curves."""
    pictures(tmp_path / "ron", 5)
    control = train(host, by_teacher(tmp_path, train={"max_train_steps": 1, "batch_size": 4, "gradient_accumulation_steps": 2}))
    rows = per_image_loss.read(control.folder)["pictures"]
    assert RunFolder(control.folder).log()[0]["loss"] == pytest.approx(sum(row["loss"] for row in rows) / 5, rel=1e-4) and len(rows) == 5


@pytest.mark.parametrize("method", ["lora", "hypernetwork", "dreambooth"])
def test_the_teacher_is_the_untouched_model(host, tmp_path, method):
    for text in pictures(tmp_path / "ron").glob("*.txt"):
        text.unlink()
    rates = {"dreambooth": {"unet_lr": 1e-3, "text_encoder_lr": 1e-3}, "hypernetwork": {"lr": 1e-2}}
    config = Config.from_dict(by_teacher(tmp_path, method=method, **rates))
    before, control = bits(host.model), begin(config, host)
    with Trainer(config, host.model, control) as trainer:
        for number in range(2):
            with torch.no_grad():
                taught, = trainer.teacher.batches(number, trainer.training_data.examples(number))
                error = float((trainer.objective.predict(taught) - taught.answers).abs().max())
            assert taught.captions == ["a photo of a cat"] and taught.weights.tolist() == [0.5]
            if number == 0 and method != "hypernetwork":
                assert error < 1e-5  # nothing is learned yet
            else:
                assert error > 1e-4
            trainer.advance()
        answers = taught.answers
    again = bits(host.model)
    assert all(torch.equal(before[name], again[name]) for name in before)
    with torch.no_grad():
        abar = host.model.alphas_cumprod[taught.timesteps].view(-1, 1, 1, 1)
        noisy = abar.sqrt() * taught.latents + (1 - abar).sqrt() * taught.noise
        context = host.model.family.encode_text(host.model, taught.captions).context
        assert torch.allclose(host.model.unet(noisy, taught.timesteps, context=context), answers, atol=1e-5)


def stop_at_two(control):
    if control.state == "training" and control.step == 2:
        control.request("stop_without_saving")


@pytest.mark.parametrize("method", ["lora", "dreambooth"])
def test_with_a_teacher_stopping_and_resuming_gives_the_same(tmp_path, method):
    states = []
    for place in ("whole", "broken"):
        host = TinyHost(tmp_path / place)
        config = by_teacher(tmp_path, method=method)
        if place == "broken":
            train(host, config, watch=stop_at_two)
        train(host, config, resume=place == "broken")
        states.append(state.load(state.newest(host.folder("sdtune") / "runs" / "ron"))[0])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_teacher_needs_a_class_prompt_and_no_pictures(tmp_path):
    for concept in ({"images": "x"}, {"images": "x", "class_prompt": "a cat", "class_images": "y"}):
        with pytest.raises(UserError, match='"loss.prior_preservation" is "teacher"'):
            Config.from_dict({"name": "a", "concepts": [concept], "loss": {"prior_preservation": "teacher"}})


def asked(host, config):
    """(batches that the teacher asks at each of a run's first steps)."""
    with Trainer(config, host.model, begin(config, host)) as trainer:
        return [trainer.teacher.batches(step, trainer.training_data.examples(step)) for step in range(trainer.total)]


def test_a_class_that_the_words_name_is_kept_where_nothing_is_set(host, tmp_path):
    folder = pictures(tmp_path / "ron", count=4)
    config = Config.from_dict(settings(folder, loss={"prior_preservation": "auto"}, train={"max_train_steps": 16}))
    examples = [(example, batch) for step in asked(host, config) for batch in step for example in batch.examples]
    assert len(examples) == 4 and {batch.captions[0] for _, batch in examples} == {"a photo of a cat"}
    assert len({example.picture.path for example, _ in examples}) == 4  # every picture had its turn
    assert all(batch.weights.tolist() == [4.0] for _, batch in examples)  # what is asked seldom counts as much


@pytest.mark.parametrize("method", ["lora", "dreambooth"])
def test_the_teacher_is_asked_about_an_empty_prompt_too(host, tmp_path, method):
    folder = pictures(tmp_path / "ron", count=4)
    loss = {"prior_preservation": "auto", "teacher_every_n_examples": 1, "teacher_caption_dropout_rate": 0.5}
    config = Config.from_dict(settings(folder, method=method, loss=loss, train={"max_train_steps": 40}))
    batches = [batch for step in asked(host, config) for batch in step]
    empty = [batch for batch in batches if batch.captions == [""]]
    assert len(batches) == 40 and 12 <= len(empty) <= 28 and {batch.captions[0] for batch in batches} == {"", "a photo of a cat"}
    with torch.no_grad():
        batch = empty[0]
        context = host.model.family.encode_text(host.model, [""]).context
        abar = host.model.alphas_cumprod[batch.timesteps].view(-1, 1, 1, 1)
        noisy = abar.sqrt() * batch.latents + (1 - abar).sqrt() * batch.noise
        assert torch.allclose(host.model.unet(noisy, batch.timesteps, context=context), batch.answers, atol=1e-5)


@pytest.mark.parametrize("method", ["lora", "dreambooth"])
def test_about_an_empty_prompt_sdxl_is_asked_as_the_webui_asks_it(tmp_path, monkeypatch, method):
    """With zeros, not with the encoding of no words; teacher and pupil alike. A caption left out stays an encoding."""
    host = TinyHost(tmp_path / "data", SHALLOW["sdxl"])
    loss = {"prior_preservation": "auto", "teacher_every_n_examples": 1, "teacher_caption_dropout_rate": 1}
    config = Config.from_dict(settings(pictures(tmp_path / "ron"), method=method, loss=loss, dataset={"caption_dropout_rate": 1},
                                       train={"max_train_steps": 2, "batch_size": 3}))
    inputs, forward = [], host.model.unet.forward
    monkeypatch.setattr(host.model.unet, "forward", lambda x, at, context, y: inputs.append((context, y)) or forward(
        x, at, context=context, y=y))
    with Trainer(config, host.model, begin(config, host)) as trainer:
        trainer.advance()
    texts = host.model.family.encode_text(host.model, [""]).vector.shape[1]
    silent = [[not context[row].any() and not y[row, :texts].any() for row in range(len(context))] for context, y in inputs]
    assert silent[-1] == [False] * 3 + [True] * 3 and silent[0] == [True] * 3, silent


@pytest.mark.parametrize("changes", [
    {"prompt": "a painting in the style of ron"}, {"prompt": "[filewords]"}, {"class_images": "cats", "class_prompt": "a cat"}])
def test_nothing_is_asked_about_styles_templates_and_where_class_pictures_are(host, tmp_path, changes):
    folder = pictures(tmp_path / "ron")
    if "class_images" in changes:
        changes = changes | {"class_images": str(pictures(tmp_path / "cats"))}
    config = Config.from_dict(settings("", concepts=[{"images": str(folder), **changes}], loss={"prior_preservation": "auto"}))
    assert not any(asked(host, config))


@pytest.mark.parametrize(("changes", "words"), [
    ({"loss": {"prior_preservation": "auto"}}, "33 % longer"),
    ({"loss": {"prior_preservation": "auto", "teacher_caption_dropout_rate": 0.5}}, "questions 50 % are about an empty"),
    ({"loss": {"prior_preservation": "auto"}, "method": "dreambooth"}, "25 % longer"),  # its answers are stored before
    ({"loss": {"prior_preservation": "auto"}, "concepts": [{"images": "x", "prompt": "ron style"}]}, "a style has none"),
    ({"loss": {"prior_preservation": "pictures"}}, ""), ({"method": "textual_inversion", "loss": {"prior_preservation": "auto"}}, "")])
def test_what_is_done_for_the_class_is_told(changes, words):
    sentence = prior.sentence(Config.from_dict(settings("x", **changes)), [])
    assert words in sentence and bool(words) == bool(sentence)
    codes = coded([sentence])  # one sentence after the other, or a text without blanks: no blank takes a sentence in
    assert not sentence or codes.get(sentence, {}).get("values") == {} or sentence not in codes and {*PARTS.split(sentence)} <= {*codes}


def test_subject_and_twins_are_learned_in_one_forward(host, tmp_path, monkeypatch):
    """The gradient is that of two forwards, one after the other."""
    from lib_sdtune.training import accumulation as module
    config = Config.from_dict(by_teacher(tmp_path, train={"batch_size": 3, "max_train_steps": 1}))
    forwards, losses = [], []
    for name in ("joined", "apart"):
        control = begin(Config.from_dict(by_teacher(tmp_path, name=name)), host)
        with Trainer(config, host.model, control) as trainer:
            predict = trainer.objective.predict
            monkeypatch.setattr(trainer.objective, "predict", lambda batch, *rest, predict=predict: forwards.append(
                len(batch.latents)) or predict(batch, *rest))
            if name == "apart":
                monkeypatch.setattr(module, "joined", lambda batches: batches)
                monkeypatch.setattr(trainer.objective, "predict", lambda batches, *rest, predict=predict: torch.cat(
                    [predict(batch) for batch in batches]) if isinstance(batches, list) else predict(batches, *rest))
            losses.append(trainer.advance().loss)
    assert forwards == [6] and losses[0] == pytest.approx(losses[1], rel=1e-5)
