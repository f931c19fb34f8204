"""What a step asks of a GPU, counted on a pretended one with SD1's number of layers: a rise fails here."""

from contextlib import contextmanager

import pytest
import torch

from lib_sdtune import networks
from lib_sdtune.config import Config
from lib_sdtune.ldm.text import CLIPTextModel
from lib_sdtune.training.batch import draw
from lib_sdtune.training.runs import begin
from lib_sdtune.training.trainer import Trainer
from tests.hosts import TinyHost, pictures, settings
from tests.models import SHALLOW, randomise, tiny_sd1, tokenizer
from tests.pretended import pretended_cuda
from tests.pretended.dispatch import OLD

SETTINGS = {"lora": {"dim": 4, "alpha": 2, "unet_lr": 1e-3, "text_encoder_lr": 1e-3},
            "dreambooth": {"unet_lr": 1e-5, "weights": "float32"},
            "textual_inversion": {"token": "cat", "init_text": "cat"}, "hypernetwork": {"lr": 1e-3}}
MAX_LAUNCHES = {"lora": 4200, "dreambooth": 3130}  # launches; forward and backward alone are 1,961 and 2,269
LION = 300  # more where Lion steps groups of weights
ONE_BY_ONE = 2 * 686  # more for DreamBooth where torch copies lists between number formats one by one
SHARE = 1.05  # of forward and backward alone, what a step of the other add-ons may launch


def sd1_on_the_card(host):
    """SD1's block structure and its 12 text layers, in half precision."""
    words = tokenizer()
    host.model.text_encoders[0] = randomise(CLIPTextModel(len(words), 16, 12, 4), 2)
    for _, module in host.model.modules():
        module.to("cuda", torch.float16)
    return host


@contextmanager
def training_on_the_card(tmp_path, method="lora", train=(), **changes):
    """(the pretended card, a trainer that has made its first step)."""
    images = pictures(tmp_path / "2_ron", count=1)
    config = Config.from_dict(settings(
        images, method=method, train={"max_train_steps": 4, "gradient_checkpointing": "off", **dict(train)},
        save={"state_every_n_steps": 0}, sample={"every_n_steps": 0}, **{method: SETTINGS[method]}, **changes))
    with pretended_cuda() as card:
        host = sd1_on_the_card(TinyHost(tmp_path / "data", tiny_sd1))
        with Trainer(config, host.model, begin(config, host)) as trainer:
            trainer.advance()
            yield card, trainer


@pytest.mark.parametrize(("method", "optimizer"), [*((method, "AdamW") for method in SETTINGS), ("dreambooth", "Lion")])
def test_a_step_launches_little_and_waits_for_nothing(tmp_path, method, optimizer):
    more = (ONE_BY_ONE if OLD and method == "dreambooth" else 0) + (LION if optimizer == "Lion" else 0)
    with training_on_the_card(tmp_path, method, train={"optimizer": optimizer}) as (card, trainer):
        with card.counting() as counts:
            trainer.advance()
        data = trainer.training_data
        batch = draw(data.examples(3), 3, data.cache, trainer.config).to(trainer.model.device)
        with card.counting() as bare:
            trainer.objective.predict(batch).square().mean().backward()
    assert counts.total("launches") <= MAX_LAUNCHES.get(method, SHARE * bare.total("launches")) + more, (counts, bare)
    assert counts.total("syncs") == 0, counts.syncs
    assert counts.total("uploads") <= 10 and counts.total("downloads") <= 1, counts


@pytest.mark.parametrize(("method", "accumulated"), [("lora", 1), ("dreambooth", 1), ("dreambooth", 2)])
def test_an_optimizer_that_cannot_leave_a_step_out_waits_once(tmp_path, method, accumulated):
    train = {"optimizer": "SGDNesterov", "gradient_accumulation_steps": accumulated}
    with training_on_the_card(tmp_path, method, train=train) as (card, trainer), card.counting() as counts:
        trainer.advance()
    assert counts.total("syncs") <= 1, counts.syncs
    assert counts.total("downloads") <= 1 + (len(trainer.optimizer_step.groups) if method == "dreambooth" else 0), counts


def test_accumulation_adds_a_forward_and_a_backward_alone(tmp_path):
    """Of a whole model: the gradients of 686 weights are added one by one."""
    with training_on_the_card(tmp_path, "dreambooth", train={"gradient_accumulation_steps": 2}) as (card, trainer):
        with card.counting() as counts:
            trainer.advance()
        data = trainer.training_data
        batch = draw(data.examples(3), 3, data.cache, trainer.config).to(trainer.model.device)
        with card.counting() as bare:
            trainer.objective.predict(batch).square().mean().backward()
    more = 300 + (ONE_BY_ONE if OLD else 0)
    assert counts.total("launches") <= MAX_LAUNCHES["dreambooth"] + bare.total("launches") + more, (counts, bare)
    assert counts.total("syncs") == 0, counts.syncs


@pytest.mark.parametrize("network", [name for name, _ in networks.registry])
def test_no_network_waits_for_the_device(tmp_path, network):
    options = {"network": network, "dim": 2, "preset": "ia3" if network == "ia3" else "attn-mlp"}
    config = Config.from_dict(settings(pictures(tmp_path / "2_ron", count=1), lora=options, train={
        "max_train_steps": 3, "gradient_checkpointing": "off"}, save={"state_every_n_steps": 0}, sample={"every_n_steps": 0}))
    with pretended_cuda() as card:
        host = TinyHost(tmp_path / "data")
        for _, module in host.model.modules():
            module.to("cuda", torch.float16)
        with Trainer(config, host.model, begin(config, host)) as trainer:
            trainer.advance()
            with card.counting() as counts:
                trainer.advance()
    assert counts.total("syncs") == 0, counts.syncs


def test_timesteps_by_loss_wait_for_nothing(tmp_path):
    with training_on_the_card(tmp_path, noise={"timestep_sampling": "loss"}) as (card, trainer), card.counting() as counts:
        trainer.advance()
    assert counts.total("syncs") == 0, counts.syncs
    assert counts.total("launches") <= MAX_LAUNCHES["lora"], counts


@pytest.mark.parametrize("method", ["lora", "dreambooth"])
def test_zeros_for_an_empty_prompt_wait_for_nothing(tmp_path, method):
    """SDXL's, at every question."""
    asked = {"prior_preservation": "auto", "teacher_every_n_examples": 1, "teacher_caption_dropout_rate": 1}
    config = Config.from_dict(settings(pictures(tmp_path / "2_ron", count=1), method=method, loss=asked, train={
        "max_train_steps": 4, "gradient_checkpointing": "off"}, save={"state_every_n_steps": 0}, sample={"every_n_steps": 0}))
    with pretended_cuda() as card:
        host = TinyHost(tmp_path / "data", SHALLOW["sdxl"])
        for _, module in host.model.modules():
            module.to("cuda", torch.float16)
        with Trainer(config, host.model, begin(config, host)) as trainer:
            trainer.advance()
            assert trainer.teacher.batches(1, trainer.training_data.examples(1))[0].unconditional.all()
            with card.counting() as counts:
                trainer.advance()
    assert counts.total("syncs") == 0, counts.syncs


@pytest.mark.parametrize("method", ["lora", "dreambooth"])  # asked at each step, and before the first one
def test_the_teacher_waits_for_nothing(tmp_path, method):
    asked = {"prior_preservation": "auto", "teacher_every_n_examples": 1, "teacher_caption_dropout_rate": 0.5}
    with training_on_the_card(tmp_path, method, loss=asked) as (card, trainer):
        assert trainer.teacher.batches(1, trainer.training_data.examples(1))
        with card.counting() as counts:
            trainer.advance()
    assert counts.total("syncs") == 0, counts.syncs
