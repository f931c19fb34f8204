"""What training a whole model takes of a card, counted in bytes on a pretended one, beside what was planned."""

import pytest
import torch

from lib_sdtune import optim
from lib_sdtune.config import Config
from lib_sdtune.optim.ema import EVERY
from lib_sdtune.training.runs import begin
from lib_sdtune.training.trainer import Trainer
from tests.hosts import pictures, settings
from tests.pretended import pretended_cuda
from tests.pretended.hosts import CardHost


@pytest.fixture
def trainer_of(tmp_path):
    """config's changes -> (trainer, bytes on the card before it) on a model whose weights outweigh its activations."""
    def make(**changes):
        images = pictures(tmp_path / "2_ron", count=1, size=(64, 64))
        dataset = {"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 64}
        sections = {"train": {"max_train_steps": 20}, "dreambooth": {"unet_lr": 1e-4}, "save": {"state_every_n_steps": 0}}
        merged = {key: value | changes.get(key, {}) for key, value in sections.items()}
        host = CardHost(tmp_path / "data", torch.bfloat16, width=128)
        config = Config.from_dict(settings(images, method="dreambooth", dataset=dataset, **merged))
        return Trainer(config, host.model, begin(config, host))

    return make


WAYS = {"AdamW": {}, "accumulation": {"train": {"gradient_accumulation_steps": 2}}, "all at once": {},
        "Lion": {"train": {"optimizer": "Lion"}}, "SGD": {"train": {"optimizer": "SGDNesterov"}}, "rounded": {"dreambooth": {"weights": "bfloat16"}},
        "rounded, accumulation": {"train": {"gradient_accumulation_steps": 2}, "dreambooth": {"weights": "bfloat16"}},
        "rounded, SGD": {"train": {"optimizer": "SGDNesterov"}, "dreambooth": {"weights": "bfloat16"}}}


@pytest.mark.parametrize("way", WAYS)
def test_a_step_takes_what_was_planned(trainer_of, monkeypatch, way):
    if way == "all at once":  # as Prodigy, which is not a package of the tests
        monkeypatch.setattr(optim, "needs_all", lambda name: True)
    with pretended_cuda() as card, trainer_of(**WAYS[way]) as trainer:
        copies = sum(4 * trained.value.numel() for trained in trainer.optimizer_step.trained_weights
                     if not trained.lives_in_model)
        before = card.live - copies
        trainer.advance()
        card.forget_peak()
        trainer.advance()
        assert card.peak - before == pytest.approx(trainer.optimizer_step.memory(), rel=0.15)


def test_the_average_fetches_the_weights_at_some_steps_only(trainer_of):
    with pretended_cuda() as card, trainer_of(dreambooth={"ema_decay": 0.9}) as trainer:
        fetched = []
        for _ in range(EVERY):
            with card.counting() as counts:
                trainer.advance()
            fetched.append(counts.total("downloads"))
    count = len(trainer.optimizer_step.trained_weights)
    assert max(fetched[:-1]) <= 2 and count <= fetched[-1] <= count + 2
