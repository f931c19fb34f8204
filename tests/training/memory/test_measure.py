"""Two steps that leave no trace, and the way down to settings that fit."""

import json

import pytest
import torch

from lib_sdtune.config import Config
from lib_sdtune.errors import TooLittleMemory
from lib_sdtune.loaded_model import ModelSpec
from lib_sdtune.training.memory import cheaper_settings, estimate, measure
from lib_sdtune.training.objective import Objective
from lib_sdtune.training.prior import most_twins
from lib_sdtune.training.trainer import Trainer
from lib_sdtune.training.training_data import TrainingData
from tests.hosts import TinyHost, bits, pictures, settings
from tests.pretended import pretended_cuda
from tests.pretended.hosts import CardHost

CPU = torch.device("cpu")
quiet = lambda *progress: None  # noqa: E731


class Weighed(TinyHost):
    """A tiny host that can say what its model is made of."""

    def model_spec(self, model_settings):
        shapes = {part: {name: tuple(p.shape) for name, p in module.named_parameters()} for part, module in self.model.modules()}
        return ModelSpec(shapes, self.model.dtype, CPU)


@pytest.fixture
def host(tmp_path):
    return Weighed(tmp_path / "data")


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("method", ["lora", "dreambooth", "textual_inversion", "hypernetwork"])
def test_measuring_leaves_the_model_and_the_disk_as_they_were(host, images, tmp_path, method):
    before, known = bits(host.model), files(tmp_path)
    own = {"concepts": [{"images": str(images), "prompt": "a photo of [name]"}]} if method == "textual_inversion" else {}
    need = measure.measure(Config.from_dict(settings(images, method=method, dataset={"caption_extension": ".none"}, **own)), host, quiet)
    assert need.measured and need.seconds > 0 and need.fits and not need.changes
    after = bits(host.model)
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)
    assert files(tmp_path) == known and not (tmp_path / "data" / "sdtune" / "measuring").exists()
    assert all(not p.requires_grad or p.grad is None for _, part in host.model.modules() for p in part.parameters())


def test_the_batch_that_needs_most_is_measured_and_only_its_pictures_are_encoded(host, tmp_path):
    small = pictures(tmp_path / "small", count=6, size=(128, 128))
    pictures(tmp_path / "small" / "wide", count=2, size=(384, 128), seed=1)
    config = Config.from_dict(settings(small, train={"batch_size": 2}, dataset={"bucket_no_upscale": True, "resolution": 192}))
    seen = []

    class Spy(measure.HeaviestBatch):
        def encode_images(self, pixels):
            seen.append(tuple(pixels.shape[2:]))
            return super().encode_images(pixels)

    with Spy(config, host.model, tmp_path / "runs" / "x", quiet, measure.World()) as training_data:
        sizes = {example.size for example in training_data.examples(0)}
        assert sizes == {max((e.size for e in TrainingData.needed(training_data)), key=lambda size: size[0] * size[1])}
        assert len(training_data.examples(5)) == 2 == len(seen)


def test_cheaper_settings_are_proposed_where_memory_runs_out(host, images, monkeypatch):
    """Two steps that fail like a GPU that is full, until the batch is one."""
    tried = []

    def two_steps(config, host, changes, progress):
        tried.append(changes)
        if config.train.batch_size > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return measure.MemoryNeed("a small GPU", 3 * 2**30, 4 * 2**30, 0.5, changes)

    monkeypatch.setattr(measure, "two_steps", two_steps)
    config = Config.from_dict(settings(images, method="dreambooth", train={"batch_size": 4}))
    need = measure.measure(config, host, quiet)
    assert need.changes["train.batch_size"] == 1 and need.changes["train.gradient_checkpointing"] == "on"
    assert need.changes["dreambooth.weights"] == "bfloat16" and "dataset.resolution" not in need.changes
    assert tried[0] == {} and all(set(a) < set(b) for a, b in zip(tried, tried[1:], strict=False))
    assert config.train.batch_size == 4  # the user's own settings are only read
    assert "changes below" in need.sentence() and "3.0 of 4.0 GB" in need.sentence()
    json.dumps(need.facts())


def test_what_the_first_step_takes_once_is_no_part_of_a_step(images, tmp_path, monkeypatch):
    """As cuDNN does, which takes what is free to try its plans."""
    advance, spare = Trainer.advance, 2**26

    def searching(trainer):
        if trainer.step == 0:
            torch.empty(spare, dtype=torch.uint8, device="cuda")
        return advance(trainer)

    with pretended_cuda():
        host = CardHost(tmp_path / "data", torch.float16)
        plain = measure.two_steps(Config.from_dict(settings(images)), host, {}, quiet).needs
        monkeypatch.setattr(Trainer, "advance", searching)
        assert measure.two_steps(Config.from_dict(settings(images)), host, {}, quiet).needs == pytest.approx(plain, rel=0.02)
        monkeypatch.setattr(measure, "STEPS", 1)
        assert measure.two_steps(Config.from_dict(settings(images)), host, {}, quiet).needs > spare


@pytest.mark.parametrize(("every", "batch_size"), [(4, 1), (4, 3), (1, 2)])
def test_the_teacher_is_asked_about_all_that_is_measured(host, images, monkeypatch, every, batch_size):
    """As it is at some step of a run, by chance; what fits without would not fit then."""
    sizes = []
    predict = Objective.predict
    monkeypatch.setattr(Objective, "predict", lambda self, batch, *more: sizes.append(len(batch.latents)) or predict(self, batch, *more))
    asked = {"prior_preservation": "auto", "teacher_every_n_examples": every}
    config = Config.from_dict(settings(images, loss=asked, train={"batch_size": batch_size}))
    measure.two_steps(config, host, {}, quiet)
    assert max(sizes) == 2 * batch_size == batch_size + most_twins(config)


def test_graphs_are_measured_when_they_are_replayed(tmp_path, images, monkeypatch):
    recordings, advance = [], Trainer.advance
    monkeypatch.setattr(Trainer, "advance", lambda trainer: recordings.append(len(trainer.attachment.cuda_graphs.recordings)) or advance(trainer))
    with pretended_cuda():
        host = CardHost(tmp_path / "data", torch.float16)
        config = Config.from_dict(settings(images, train={"cuda_graphs": True, "gradient_checkpointing": "off"}))
        assert measure.two_steps(config, host, {}, quiet).measured
    assert recordings[-1] == 1  # before the last step, which is the one that is told of


def test_memory_that_is_lent_from_elsewhere_does_not_count_as_fitting(host, images, monkeypatch):
    """Drivers that put into the computer's memory what the GPU cannot hold never say that they are full."""
    needs = iter([9 * 2**30, 3 * 2**30])
    monkeypatch.setattr(measure, "two_steps", lambda config, host, changes, progress:
                        measure.MemoryNeed("a small GPU", next(needs), 4 * 2**30, 0.5, changes))
    need = measure.measure(Config.from_dict(settings(images)), host, quiet)
    assert need.changes == {"train.gradient_checkpointing": "on"} and need.refused == "It took 9.0 GB of 4.0 GB."


def test_nothing_is_tried_on_a_computer_that_it_would_bring_down(host, images, monkeypatch):
    monkeypatch.setattr(measure, "capacity", lambda device: 1000)
    monkeypatch.setattr(measure, "two_steps", lambda *arguments: pytest.fail("tried"))
    with pytest.raises(TooLittleMemory, match="nothing fits this computer"):
        measure.measure(Config.from_dict(settings(images, method="dreambooth")), host, quiet)


def test_a_failure_of_another_kind_is_told_as_it_is(host, images, monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(measure, "two_steps", broken)
    with pytest.raises(ZeroDivisionError):
        measure.measure(Config.from_dict(settings(images)), host, quiet)


def test_a_stop_in_the_middle_gives_the_model_back(host, images, tmp_path):
    class Stop(Exception):
        pass

    def stop(done, total, text):
        if (tmp_path / "data" / "sdtune" / "measuring" / "runs").exists():
            raise Stop

    before = bits(host.model)
    with pytest.raises(Stop):
        measure.measure(Config.from_dict(settings(images, method="dreambooth")), host, stop)
    assert all(torch.equal(tensor, before[name]) for name, tensor in bits(host.model).items())
    assert not (tmp_path / "data" / "sdtune" / "measuring").exists()


@pytest.mark.parametrize(("needs", "has", "seconds", "sentence"), [
    (2, 4, None, "Estimated: a step needs about 2.0 of the 4.0 GB of it, so it should fit."),
    (5, 4, None, "Estimated: a step needs about 5.0 GB and it has 4.0 GB for it, so it would not fit."),
    (2, None, None, "Estimated: a step needs about 2.0 GB; how much it has for it cannot be told."),
    (None, None, 0.123, "Measured: a step fits and takes 0.12 s; how much memory it needs cannot be told on this machine.")])
def test_what_is_not_known_is_not_claimed(needs, has, seconds, sentence):
    sizes = [None if size is None else size * 2**30 for size in (needs, has)]
    assert measure.MemoryNeed("it", *sizes, seconds).sentence() == sentence


# the estimate: SD1's sizes

SD1 = {"unet": {"input_blocks.0.0.weight": (320, 4, 3, 3), **{f"{i}.weight": (23_875_262,) for i in range(36)}}, "vae": {"all": (83_653_863,)},
       "text_encoder_1": {"all": (123_060_480,)}}


def guessed(dtype=torch.float16, **changes):
    changes = {"method": "dreambooth", "dataset": {"resolution": 512, "max_bucket_reso": 1024}, **changes}
    return estimate.estimate(Config.from_dict(settings("x", **changes)), ModelSpec(SD1, dtype, CPU)) / 2**30


def test_the_estimate_adds_up_for_sd1():
    """float32 in place: 4 bytes a weight and 8 for AdamW's moments; the other parts' 4; activations and a little more."""
    parts = (859_520_952 * 12 + 206_714_343 * 4) / 2**30
    assert parts + 2 < guessed(torch.float32) < parts + 5


@pytest.mark.parametrize("cheaper", [{"train": {"optimizer": "Lion"}}, {"train": {"gradient_checkpointing": "on"}},
                                     {"dreambooth": {"weights": "bfloat16"}}, {"dataset": {"resolution": 256, "max_bucket_reso": 512}}, {"method": "lora"}])
def test_what_saves_memory_lowers_the_estimate(cheaper):
    assert guessed(**cheaper) < guessed()


@pytest.mark.parametrize("dearer", [{"train": {"batch_size": 2}}, {"dreambooth": {"text_encoder_lr": 1e-6}},
                                    {"dreambooth": {"ema_decay": 0.99}}, {"train": {"gradient_accumulation_steps": 2}},
                                    {"loss": {"prior_preservation": "teacher"}, "concepts": [{"images": "x", "class_prompt": "a cat"}]}])
def test_what_costs_memory_raises_the_estimate(dearer):
    assert guessed(**dearer) > guessed()


def test_every_rung_is_cheaper_than_the_one_before_by_arithmetic():
    config = Config.from_dict(settings("x", method="dreambooth", train={"batch_size": 2}, dreambooth={"text_encoder_lr": 1e-6}))
    spec = ModelSpec(SD1, torch.float16, CPU)
    sizes = [estimate.estimate(config, spec)] + [estimate.estimate(cheaper, spec) for _, cheaper in cheaper_settings.cheaper_configs(config, CPU)]
    assert len(sizes) >= 6 and sizes == sorted(sizes, reverse=True) and len(set(sizes)) == len(sizes)


def test_lion_comes_with_a_third_of_the_rate():
    config = Config.from_dict(settings("x", method="dreambooth", dreambooth={"unet_lr": 3e-6}))
    changes = next(changes for changes, _ in cheaper_settings.cheaper_configs(config, CPU) if "train.optimizer" in changes)
    assert changes["train.optimizer"] == "Lion" and changes["dreambooth.unet_lr"] == pytest.approx(1e-6)


def test_smaller_pictures_keep_their_shapes():
    config = Config.from_dict(settings("x", dataset={"resolution": 1024, "min_bucket_reso": 512, "max_bucket_reso": 2048}))
    *_, (changes, cheaper) = cheaper_settings.cheaper_configs(config, CPU)
    assert [changes[f"dataset.{key}"] for key in ("resolution", "min_bucket_reso", "max_bucket_reso")] == [576, 288, 1152]
    assert cheaper.dataset.min_bucket_reso == 288


def test_the_command_line_measures_and_trains_nothing(images, tmp_path, capsys):
    from lib_sdtune.__main__ import main

    (tmp_path / "run.json").write_text(json.dumps(settings(images, method="dreambooth")), encoding="utf-8")
    assert main(["train", str(tmp_path / "run.json"), "--data-dir", str(tmp_path / "out"), "--measure"]) == 0
    assert "Measured: a step needs" in capsys.readouterr().out
    assert files(tmp_path / "out") == []


def test_nothing_is_asked_or_measured_beside_the_steps():
    config = Config.from_dict({"name": "ron", "concepts": [{"images": "ron"}], "dataset": {"describe": ["red, blue"]},
                               "train": {"stop": "auto", "max_train_steps": 0}})
    bare = measure.steps_only(config)
    assert bare.train.stop == "steps" and bare.train.max_train_steps and not bare.dataset.describe
    assert config.train.stop == "auto" and config.dataset.describe
