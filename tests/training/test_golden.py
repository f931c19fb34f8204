"""The first losses of every method on the tiny model, as they were when somebody last looked at them closely.

They move when anything does that a step depends on: data order, noise, timesteps, targets, rates, weights. If that is
meant, look at why, then write the new ones with SDTUNE_GOLDEN=write.
"""

import json
import os
from pathlib import Path

import pytest

from lib_sdtune.methods import registry
from lib_sdtune.training.runs import RunFolder
from tests.hosts import TinyHost, pictures, settings, train
from tests.models import tiny_sd1

GOLDEN = Path(__file__).with_name("golden.json")
CHANGES = {"lora": {}, "textual_inversion": {"token": "cat", "init_text": "cat", "num_vectors_per_token": 2, "lr": 0.05}, "hypernetwork": {"lr": 1e-3},
           "dreambooth": {"unet_lr": 1e-4, "text_encoder_lr": 1e-5}}


@pytest.mark.parametrize("method", registry.names())
def test_first_losses(method, tmp_path):
    images = pictures(tmp_path / "2_ron")
    changes = {method: CHANGES[method]} if CHANGES.get(method) else {}
    host = TinyHost(tmp_path / "data", tiny_sd1)
    control = train(host, settings(images, method=method, **changes, train={"max_train_steps": 6, "lr_scheduler": "cosine"}))
    losses = [row["loss"] for row in RunFolder(control.folder).log()]
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("SDTUNE_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(golden | {method: losses}, indent=1) + "\n")
    assert losses == pytest.approx(golden.get(method, []), rel=2e-3)
