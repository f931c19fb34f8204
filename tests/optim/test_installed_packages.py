"""Optimizers of other packages by those packages themselves, where they are installed: none comes with an environment of ours."""

import pytest

from tests.hosts import pictures, resumed, settings

OPTIMIZERS = {  # the package's module, and a rate that suits it
    "AdamW8bit": ("bitsandbytes.optim", 1e-4), "Adafactor": ("transformers.optimization", 1e-4), "CAME": ("came_pytorch", 1e-4),
    "Prodigy": ("prodigyopt", 1.0), "DAdaptAdam": ("dadaptation", 1.0), "DAdaptLion": ("dadaptation", 1.0), "DAdaptSGD": ("dadaptation", 1.0)}
METHODS = {"lora": {"dim": 64, "alpha": 64, "unet_lr": ..., "text_encoder_lr": ...}, "hypernetwork": {"lr": ...},
           "dreambooth": {"unet_lr": ..., "weights": "float32"}, "dreambooth, rounded": {"unet_lr": ..., "weights": "bfloat16"}}


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_resumed_run_ends_in_the_same_bytes(tmp_path, optimizer, method, accumulated):
    module, rate = OPTIMIZERS[optimizer]
    pytest.importorskip(module, exc_type=ImportError)
    section = {key: rate if value is ... else value for key, value in METHODS[method].items()}
    name = method.split(",")[0]
    train = {"max_train_steps": 4, "optimizer": optimizer, "gradient_accumulation_steps": accumulated}
    hosts = resumed(tmp_path, settings(pictures(tmp_path / "2_ron", size=(64, 64)), method=name, train=train, **{name: section}))
    whole, parts = (next(path.read_bytes() for path in host.data_dir.rglob("ron.*") if path.suffix in (".safetensors", ".pt"))
                    for host in hosts)
    assert whole == parts
