"""A running fork (reForge, Forge, Forge Neo) with SD Tune in it, at the address in SDTUNE_FORK_URL, started with --api.

Forks know a checkpoint by its sizes, so it must be a real Stable Diffusion 1: random numbers do. In its settings,
"show_progress_type" should be "Approx cheap", which loads nothing more.
"""

import os

import pytest

from tests.hosts import pictures
from tests.webui.conftest import WebUI


class Fork(WebUI):
    def draw(self, prompt, seed=11, **changes):
        return super().draw(prompt, seed, **{"steps": 1, **changes})

    def train(self, config, seconds=1800):
        """The finished run of a CONFIG."""
        status, answer = self.tune("/runs", config)
        assert status == 201, answer
        return self.until(config["name"], lambda run: run["state"] == "finished", seconds)


@pytest.fixture(scope="session")
def fork():
    url = os.environ.get("SDTUNE_FORK_URL")
    if not url:
        pytest.skip("no fork: start one with --api and this extension, and put its address into SDTUNE_FORK_URL")
    return Fork(url)


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    folder = pictures(tmp_path_factory.mktemp("pictures") / "ron", count=2, size=(64, 64))
    for caption in folder.glob("*.txt"):
        caption.unlink()
    return folder


@pytest.fixture
def config(images):
    """A function: CONFIG of two steps, with changes to its sections."""
    def config(name, **changes):
        base = {"name": name, "overwrite": True, "concepts": [{"images": str(images), "prompt": "a photo of ron"}],
                "dataset": {"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 64},
                "lora": {"dim": 4, "alpha": 4, "unet_lr": 0.02, "text_encoder_lr": 0.005},
                "train": {"max_train_steps": 2}, "save": {"state_every_n_steps": 1}}
        return base | {key: base.get(key, {}) | value if isinstance(value, dict) else value for key, value in changes.items()}

    return config
