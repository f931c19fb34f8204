"""How micro-batches make a step."""

import pytest
import torch

from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.training.runs import RunFolder, begin
from lib_sdtune.training.trainer import Trainer
from tests.hosts import pictures, resumed, settings, train


def test_every_example_counts_the_same(host, tmp_path, monkeypatch):
    """Three pictures in micro-batches of two and one: as one batch of three, not half of the step for the last one."""
    images = pictures(tmp_path / "1_ron", count=3)
    config = Config.from_dict(settings(images, train={"max_train_steps": 1, "batch_size": 2, "gradient_accumulation_steps": 2}))
    with Trainer(config, host.model, begin(config, host)) as trainer:
        losses, applied = [], []
        original, backward = trainer.objective.unweighted, trainer.optimizer_step.backward
        monkeypatch.setattr(trainer.objective, "unweighted", lambda *prediction: losses.append(original(*prediction)) or losses[-1])
        monkeypatch.setattr(trainer.optimizer_step, "backward", lambda loss: applied.append(float(loss.detach())) or backward(loss))
        step = trainer.advance()
    single = torch.cat([loss.detach() for loss in losses])
    assert sorted(map(len, losses)) == [1, 2] and float(single.std()) > 1e-3
    assert sum(applied) == pytest.approx(float(single.mean()), rel=1e-5)
    assert step.loss == pytest.approx(float(single.mean()), rel=1e-5)


def word(images, captions):
    for number, caption in enumerate(captions):
        (images / f"{number}.txt").write_text(caption, encoding="utf-8")
    return settings(images, method="textual_inversion", textual_inversion={"token": "zqx", "lr": 1e-2},
                    concepts=[{"images": str(images)}], train={"max_train_steps": 6, "batch_size": 1})


def test_a_step_from_which_nothing_can_learn_is_left_out_and_told(host, tmp_path, caplog):
    images = pictures(tmp_path / "1_ron", count=3)
    control = train(host, word(images, ["a zqx", "a zqx, red", "a cat"]))
    assert control.state == "finished" and [row["step"] for row in RunFolder(control.folder).log()] == [1, 2, 3, 4, 5, 6]
    assert "2 of 6 steps were left out" in caplog.text
    assert any("Nothing that learns takes part in step" in note and "2.png" in note for note in control.facts["notes"])


def test_steps_that_were_left_out_are_counted_over_a_stop(tmp_path, caplog):
    config = word(pictures(tmp_path / "1_ron", count=3), ["a zqx", "a zqx, red", "a cat"])
    config["save"]["state_every_n_steps"] = 1
    resumed(tmp_path, config)
    assert caplog.text.count("2 of 6 steps were left out") == 2


def test_broken_weights_are_named_before_the_first_step(host, images):
    weight = host.model.unet.input_blocks[1][0].in_layers[2].weight
    value = weight.data[0, 0, 0, 0].clone()
    with torch.no_grad():
        weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(UserError, match=r"model\.diffusion_model\.input_blocks\.1\.0\.in_layers\.2\.weight has values that are not"):
        train(host, settings(images))
    with torch.no_grad():
        weight[0, 0, 0, 0] = 1e5
    dreambooth = {"method": "dreambooth", "overwrite": True, "dreambooth": {"unet_lr": 1e-4}}
    with pytest.raises(UserError, match=r'up to 1e\+05, and fp16 .* "save.precision" to "bf16"'):
        train(host, settings(images, save={"precision": "fp16"}, **dreambooth))
    with torch.no_grad():
        weight[0, 0, 0, 0] = value
