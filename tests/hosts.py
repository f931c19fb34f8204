"""The smallest host that keeps a host's promises, over a tiny random model."""

import copy
import random
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property

from PIL import Image

from lib_sdtune.config import Config
from lib_sdtune.host.base import Host
from lib_sdtune.training.run import run
from lib_sdtune.training.runs import begin
from tests.models import SHALLOW

FOLDERS = {"lora": "models/Lora", "embeddings": "embeddings", "hypernetworks": "models/hypernetworks",
           "checkpoints": "models/Stable-diffusion", "templates": "textual_inversion_templates", "taggers": "models/WD14",
           "sdtune": "sdtune"}


class TinyHost(Host):
    """Lends `self.model`, and remembers what was asked of it. make_model: `tiny_sd1` for every layer of a family."""

    def __init__(self, data_dir, make_model=SHALLOW["sd1"]):
        self.data_dir, self.make_model, self.published, self.asked = data_dir, make_model, [], []

    @cached_property
    def model(self):
        """Made when it is asked for; many a test never does."""
        model = self.make_model()
        model.variant, model.folder = replace(model.variant, resolution=128), self.folder
        return model

    @contextmanager
    def borrow(self, model_settings, method=None):
        yield self.model

    def generate(self, requests):
        for request in requests:
            self.asked.append(request)
            image = Image.new("RGB", (request.width, request.height), "grey")
            image.info["parameters"] = f"{request.prompt}\nSteps: {request.steps}, Seed: {request.seed}"
            yield image

    def folder(self, kind):
        return self.data_dir / FOLDERS[kind]

    def publish(self, artefact):
        self.published.append(artefact)


def bits(model):
    """name -> copy of every parameter and buffer, to compare with later."""
    return {f"{part}.{name}": tensor.clone() for part, module in model.modules() for name, tensor in module.state_dict().items()}


def pictures(folder, count=3, size=(128, 128), seed=0):
    """`count` different pictures with captions; another seed gives other pictures."""
    folder.mkdir(parents=True)
    for number in range(count):
        picture = Image.frombytes("RGB", size, random.Random(1000 * seed + number).randbytes(3 * size[0] * size[1]))
        picture.paste((40 * number % 256, 90, 200), (number, number, number + 30, number + 30))
        picture.save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"a cat, number {number}", encoding="utf-8")
    return folder


def settings(images, name="ron", **changes):
    """CONFIG for a run of seconds; `changes` are sections, merged over it."""
    base = {"name": name, "concepts": [{"images": str(images), "prompt": "a photo of ron cat"}],
            "dataset": {"resolution": 128, "min_bucket_reso": 64, "max_bucket_reso": 192},
            "lora": {"dim": 4, "alpha": 2, "unet_lr": 1e-3, "text_encoder_lr": 1e-3},
            "loss": {"prior_preservation": "pictures"},
            "train": {"max_train_steps": 6}, "save": {"state_every_n_steps": 2, "precision": "float"}}
    merged = copy.deepcopy(base)
    for key, value in changes.items():
        merged[key] = merged.get(key, {}) | value if isinstance(value, dict) else value
    return merged


def train(host, config, resume=False, watch=None):
    """A whole run; its `Control`. `watch(control)` is called after every change."""
    config = Config.from_dict(config) if isinstance(config, dict) else config
    control = begin(config, host, resume, watch)
    run(config, host, control)
    return control


def resumed(tmp_path, config, make_model=SHALLOW["sd1"]):
    """Two hosts: one has trained in one go; the other was stopped at step 3, left no file, and was resumed."""
    def stop_at_three(control):
        if control.state == "training" and control.step == 3:
            control.request("stop_without_saving")

    whole, broken = (TinyHost(tmp_path / name, make_model) for name in ("whole", "broken"))
    train(whole, config)
    stopped = train(broken, config, watch=stop_at_three)
    assert stopped.state == "stopped" and not stopped.artefacts
    train(broken, config, resume=True)
    return whole, broken
