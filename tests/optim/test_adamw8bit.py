"""AdamW with 8-bit states by bitsandbytes itself, where that is installed: it comes with no environment of ours."""

import pytest

from tests.hosts import pictures, resumed, settings

pytest.importorskip("bitsandbytes.optim")
TRAIN = {"max_train_steps": 4, "optimizer": "AdamW8bit"}


@pytest.mark.parametrize("method, changes", [
    ("lora", {"lora": {"dim": 64, "alpha": 64, "unet_lr": 1e-3}}),
    ("dreambooth", {"dreambooth": {"unet_lr": 1e-4, "weights": "float32"}}),
    ("dreambooth", {"dreambooth": {"unet_lr": 1e-4, "weights": "bfloat16"}}),
    ("hypernetwork", {"hypernetwork": {"lr": 1e-4}})])
@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_resumed_run_ends_in_the_same_bytes(tmp_path, method, changes, accumulated):
    images = pictures(tmp_path / "2_ron", size=(64, 64))
    train = TRAIN | {"gradient_accumulation_steps": accumulated}
    hosts = resumed(tmp_path, settings(images, method=method, train=train, **changes))
    whole, parts = (next(path.read_bytes() for path in host.data_dir.rglob("ron.*") if path.suffix in (".safetensors", ".pt"))
                    for host in hosts)
    assert whole == parts
