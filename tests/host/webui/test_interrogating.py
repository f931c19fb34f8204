"""The WebUI's own DeepBooru and BLIP code describes pictures, with small networks in the place of their weights."""

import threading

import numpy as np
import pytest
import torch
from PIL import Image

from lib_sdtune.errors import RunError


class Network:
    """Sure of a tag where the picture is red, and of one always."""

    tags = ["red_hair", "rating:safe", "1girl", "smile_(mouth)"]

    def __call__(self, x):
        red = float(x[..., 0].float().mean() > 0.5)
        return torch.tensor([[0.9 * red, 1.0, 0.8, 0.55]])

    def to(self, *args):
        return self


@pytest.fixture
def deepbooru(webui, monkeypatch):
    module = pytest.importorskip("modules.deepbooru", reason="the stand-in has no interrogators")
    monkeypatch.setattr(module.model, "model", Network())
    return module


def test_tags_are_written_as_asked_and_the_settings_come_back(host, deepbooru):
    from modules import shared

    from lib_sdtune.data.captioners import registry

    before = dict(shared.opts.data)
    red, blue = (Image.fromarray(np.full((40, 60, 3), colour, np.uint8)) for colour in ((220, 10, 10), (10, 10, 220)))
    with registry["deepbooru"](host, threshold=0.6) as captioner:
        assert captioner.describe(red) == "red hair, 1girl" and captioner.describe(blue) == "1girl"
        assert not host.lock.waiting()
    with registry["deepbooru"](host, threshold=0.5, use_spaces=False, sort_alpha=True) as captioner:
        assert captioner.describe(red) == "1girl, red_hair, smile_(mouth)"
    assert shared.opts.data == before


class Teller(torch.nn.Linear):
    """In the place of BLIP, and of the CLIP that is loaded beside it: says how red the picture is as the network gets it."""

    def __init__(self):
        super().__init__(1, 1)

    def generate(self, pixels, **options):
        assert pixels.shape == (1, 3, 384, 384) and options["max_length"] > options["min_length"]
        return [f"a {'red' if pixels[0, 0].mean() > 0 else 'blue'} picture"]


@pytest.fixture
def blip(webui, monkeypatch):
    pytest.importorskip("modules.interrogate", reason="the stand-in has no interrogators")
    from modules import shared

    monkeypatch.setattr(shared.interrogator, "blip_model", Teller())
    monkeypatch.setattr(shared.interrogator, "clip_model", Teller())
    return shared.interrogator


def test_a_sentence_is_told(host, blip):
    from lib_sdtune.data.captioners import registry

    with registry["blip"](host) as captioner:
        assert captioner.describe(Image.new("RGB", (60, 40), (220, 10, 10))) == "a red picture"
        assert captioner.describe(Image.new("RGB", (20, 90), (10, 10, 220))) == "a blue picture"


def test_files_that_are_not_there_are_a_sentence(host, deepbooru, monkeypatch):
    from lib_sdtune.data.captioners import registry

    def offline():
        raise OSError("<urlopen error [Errno -3] Temporary failure\nin name resolution>")

    monkeypatch.setattr(deepbooru.model, "start", offline)
    with pytest.raises(RunError, match="DeepBooru could not be loaded.*failure in name resolution"), registry["deepbooru"](host):
        pass


def test_who_waits_behind_a_training_can_give_up(host, deepbooru):
    from lib_sdtune.data.captioners import registry

    asked, taken, over = [], threading.Event(), threading.Event()

    def training():
        host.lock.acquire()
        taken.set()
        over.wait(30)
        host.lock.release()

    def on_wait():
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt

    other = threading.Thread(target=training)
    other.start()
    taken.wait(30)
    captioner = registry["deepbooru"](host)
    captioner.on_wait = on_wait
    try:
        with pytest.raises(KeyboardInterrupt), captioner:
            pass
    finally:
        over.set()
        other.join()
    assert len(asked) == 3
