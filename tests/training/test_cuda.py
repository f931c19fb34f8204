"""What would break on a GPU, on a pretended one (`tests.pretended`)."""

import pytest
import torch

from lib_sdtune import devices
from lib_sdtune.errors import OUT_OF_MEMORY, RunError, UserError
from lib_sdtune.methods import registry as methods
from lib_sdtune.training.memory.meter import capacity
from lib_sdtune.training.memory.room import free_memory
from lib_sdtune.training.runs import RunFolder
from lib_sdtune.training.trainer import Trainer
from tests.hosts import TinyHost, pictures, settings, train
from tests.pretended import kernels, pretended_cuda
from tests.pretended.hosts import CardHost

SETTINGS = {"lora": {"dim": 4, "alpha": 4, "unet_lr": 1e-3, "text_encoder_lr": 1e-3}, "dreambooth": {"unet_lr": 1e-4, "text_encoder_lr": 1e-5},
            "textual_inversion": {"token": "cat", "init_text": "cat", "num_vectors_per_token": 2}, "hypernetwork": {"lr": 1e-3}}


@pytest.fixture
def card():
    with pretended_cuda() as card:
        yield card


@pytest.fixture
def images(tmp_path):
    return pictures(tmp_path / "2_ron", size=(64, 64))


def short(images, method="lora", steps=2, **changes):
    changes = {key: dict(value) for key, value in changes.items()}
    merged = {"train": {"max_train_steps": steps, "batch_size": 2} | changes.pop("train", {}),
              "dataset": {"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 64} | changes.pop("dataset", {}),
              method: SETTINGS[method] | changes.pop(method, {})}
    return settings(images, method=method, **merged, **changes)


def losses(control):
    return [row["loss"] for row in RunFolder(control.folder).log()]


@pytest.fixture
def strict(monkeypatch):
    """Fused optimisers compare strides as torch 2.1 does."""
    monkeypatch.setattr(kernels, "STRICT", [True])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("method", ["lora", "dreambooth"])
def test_fused_adamw_takes_every_gradient_and_every_restored_moment(card, strict, tmp_path, images, method, layout):
    whole, broken = (CardHost(tmp_path / name, torch.float16, layout) for name in ("whole", "broken"))
    expected = losses(train(whole, short(images, method, 3)))

    def stop_at_one(control):
        if control.state == "training" and control.step == 1:
            control.request("interrupt")

    train(broken, short(images, method, 3), watch=stop_at_one)
    assert losses(train(broken, short(images, method, 3), resume=True)) == expected
    assert whole.untouched() and broken.untouched()


PHASES = {"forward": (Trainer, "losses"), "backward": (torch.Tensor, "backward"), "sample": (Trainer, "sample"), "save": (Trainer, "save")}
