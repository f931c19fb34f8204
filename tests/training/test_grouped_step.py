"""Weights of a whole model that are stepped in groups, on a card that nobody waits for, or once."""

import pytest
import torch

from lib_sdtune.config import Config
from lib_sdtune.training.runs import begin
from lib_sdtune.training.trainer import Trainer
from tests.hosts import pictures, settings
from tests.pretended import pretended_cuda
from tests.pretended.hosts import CardHost

RATES = {"SGDNesterov": 1.0}  # it moves by the gradient itself, which bfloat16 would swallow


@pytest.mark.parametrize("optimizer", ["AdamW", "Lion", "SGDNesterov"])
@pytest.mark.parametrize("weights", ["float32", "bfloat16"])
def test_a_group_whose_gradient_is_not_finite_stays_as_it_was(tmp_path, weights, optimizer):
    images = pictures(tmp_path / "2_ron", count=1, size=(64, 64))
    dataset = {"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 64}
    config = settings(images, method="dreambooth", dataset=dataset, train={"max_train_steps": 9, "optimizer": optimizer},
                      dreambooth={"unet_lr": RATES.get(optimizer, 1e-2), "weights": weights}, save={"state_every_n_steps": 0})
    with pretended_cuda():
        host, config = CardHost(tmp_path / "data", torch.bfloat16), Config.from_dict(config)
        with Trainer(config, host.model, begin(config, host)) as trainer:
            trainer.advance()
            trained = trainer.optimizer_step.trained_weights
            groups = [group.indices for group in trainer.optimizer_step.groups]
            before = [each.full_precision().clone() for each in trained]
            hook = trained[groups[1][0]].weight.register_hook(lambda grad: grad * float("inf"))
            trainer.advance()
            hook.remove()
            same = [torch.equal(each.full_precision(), values) for each, values in zip(trained, before, strict=True)]
            trainer.advance()
            trainer.read_all()
            moved = [not torch.equal(each.full_precision(), values) for each, values in zip(trained, before, strict=True)]
        assert trainer.skipped_steps.skipped == 1
    assert all(same[index] for index in groups[1]) and any(moved[index] for index in groups[1])
    assert len(groups) > 3 and not any(all(same[index] for index in group) for group in groups[2:])
