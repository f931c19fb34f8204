"""Parts of the model whose answers are cached leave the GPU while a run trains, on a pretended one (`tests.pretended`)."""

from contextlib import contextmanager

import pytest
import torch

from lib_sdtune import methods
from lib_sdtune.config import Config
from lib_sdtune.errors import RunError
from lib_sdtune.training import trainer, training_data
from lib_sdtune.training.conditioner import encode_captions
from lib_sdtune.training.memory.offloaded_parts import OffloadedParts, idle
from lib_sdtune.training.objective import Objective
from lib_sdtune.training.training_data import TrainingData
from tests.hosts import pictures, settings, train
from tests.pretended import pretended_cuda
from tests.pretended.hosts import CardHost


@pytest.fixture
def card():
    with pretended_cuda() as card:
        yield card


class Watching(CardHost):
    """Notes which parts are on the card while pictures are encoded, at each step, in samples, and for somebody else."""

    def __init__(self, *args):
        super().__init__(*args)
        self.yields, self.places, self.tuned = True, {}, {}
        self.while_lent = lambda: self.note("lent")

    def note(self, moment):
        held = {name for name, module in self.model.modules() for tensor in module.parameters() if tensor.is_cuda}
        self.places.setdefault(moment, []).append(held)
        self.tuned.setdefault(moment, set()).add(torch.backends.cudnn.benchmark)

    def generate(self, requests):
        self.note("sample")
        yield from super().generate(requests)


ALL = {"unet", "vae", "text_encoder_1"}


@pytest.fixture
def noted(monkeypatch):
    """Which parts are on the card at each step and while pictures are encoded, on what counts as a small card."""
    def note_on(host):
        predict, encode = Objective.predict, TrainingData.encode_images
        monkeypatch.setattr(Objective, "predict", lambda objective, *batch: host.note("step") or predict(objective, *batch))
        monkeypatch.setattr(TrainingData, "encode_images", lambda data, pixels: host.note("encoding") or encode(data, pixels))

    return note_on


def on_a_small_card(monkeypatch):
    for module in (training_data, trainer):
        monkeypatch.setattr(module, "recomputes", lambda *_: True)


def short_run(images, dataset, precision="auto", **lora):
    return settings(images, train={"max_train_steps": 1, "mixed_precision": precision}, lora={"dim": 4, "unet_lr": 1e-3, "text_encoder_lr": 0.0, **lora},
                    dataset={"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 64} | dataset,
                    sample={"prompts": ["a cat"], "every_n_steps": 1})


@pytest.mark.parametrize("precision", ["auto", "no"])
@pytest.mark.parametrize(("dataset", "resident"), [({}, {"unet"}), ({"shuffle_caption": True, "cache_latents": False}, ALL)])
def test_what_is_cached_waits_elsewhere(card, tmp_path, monkeypatch, noted, dataset, resident, precision):
    images, host = pictures(tmp_path / "2_ron", count=2, size=(64, 64)), Watching(tmp_path / "data", torch.float16)
    on_a_small_card(monkeypatch)
    noted(host)
    assert train(host, short_run(images, dataset, precision)).state == "finished"
    assert host.places["step"] and all(held == resident for held in host.places["step"])
    assert host.places["sample"] == [ALL] and host.places["lent"] == [ALL]
    assert host.places["encoding"] == ([{"vae"}] * 2 if resident == {"unet"} else [ALL])
    assert host.tuned["step"] == {True} and host.tuned["lent"] == {False} and not torch.backends.cudnn.benchmark
    assert host.untouched() and all(p.is_cuda for _, module in host.model.modules() for p in module.parameters())


@pytest.mark.parametrize("short", [False, True])
def test_captions_are_encoded_in_the_format_that_a_run_computes_in(card, tmp_path, monkeypatch, short):
    images, host, formats = pictures(tmp_path / "2_ron", count=2, size=(64, 64)), CardHost(tmp_path / "data", torch.float16), []
    monkeypatch.setattr(training_data, "encode_captions", lambda model, *arguments: formats.append(
        {parameter.dtype for parameter in model.text_encoders[0].parameters()}) or encode_captions(model, *arguments))
    if short:
        on_a_small_card(monkeypatch)
    assert train(host, short_run(images, {}, "no")).state == "finished"
    assert formats and all(dtypes == {torch.float32} for dtypes in formats)


class Shuttling(Watching):
    """Lends what no step asks for in main memory, as the WebUI does with --medvram, and has it there afterwards."""

    @contextmanager
    def borrow(self, model_settings, idle=()):
        self.model.offloaded = [module for name, module in self.model.modules() if name.startswith(tuple(idle))]
        for module in self.model.offloaded:
            module.to("cpu")
        try:
            with super().borrow(model_settings, idle) as model:
                yield model
        finally:
            self.note("back")


@pytest.mark.parametrize("precision", ["auto", "no"])
@pytest.mark.parametrize(("dataset", "text_rate", "resident"), [
    ({}, 0.0, {"unet"}), ({"shuffle_caption": True, "cache_latents": False}, 0.0, ALL), ({}, 1e-3, {"unet", "text_encoder_1"})])
def test_what_the_host_keeps_in_main_memory_comes_only_while_it_is_asked_for(card, tmp_path, noted, dataset, text_rate, resident, precision):
    images, host = pictures(tmp_path / "2_ron", count=2, size=(64, 64)), Shuttling(tmp_path / "data", torch.float16)
    noted(host)
    assert train(host, short_run(images, dataset, precision, text_encoder_lr=text_rate)).state == "finished"
    for moment in ("step", "sample", "lent", "back"):
        assert host.places[moment] and all(held == resident for held in host.places[moment]), moment
    if "vae" not in resident:
        assert host.places["encoding"] == [{"vae"}] * 2
    assert host.untouched()


@pytest.mark.parametrize(("prompt", "waits"), [("a photo of ron", True), ("subject.txt", False), ("Subject.TXT ", False)])
def test_the_text_encoder_stays_where_a_template_says_something_else_each_time(prompt, waits):
    config = Config.from_dict(settings("ron", concepts=[{"images": "ron", "prompt": prompt}], lora={"text_encoder_lr": 0}))
    assert ("text_encoder" in idle(config, methods.registry["lora"])) == waits


def test_what_waits_is_the_same_objects_and_comes_back_after_a_failure(card):
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3)).to("cuda")
    before = {name: (tensor, tensor.clone()) for name, tensor in module.state_dict(keep_vars=True).items()}
    with pytest.raises(KeyError), OffloadedParts([module]) as parts:
        assert not any(tensor.is_cuda for tensor, _ in before.values())
        with parts.on_gpu(module):
            assert all(tensor.is_cuda for tensor, _ in before.values())
        raise KeyError
    after = module.state_dict(keep_vars=True)
    assert all(after[name] is tensor and tensor.is_cuda and torch.equal(tensor, value) for name, (tensor, value) in before.items())


def test_a_card_that_was_filled_meanwhile_is_told_and_nothing_is_lost(card):
    module = torch.nn.Linear(300, 300).to("cuda")
    before, parts = module.weight.detach().cpu().clone(), OffloadedParts([module])
    with pytest.raises(RunError, match="filled by something else"), parts:
        card.fill()
    assert torch.equal(module.weight.detach().cpu(), before) and not module.weight.is_cuda
    card.limit = None
    parts.__exit__()
    assert module.weight.is_cuda and torch.equal(module.weight.detach().cpu(), before)
