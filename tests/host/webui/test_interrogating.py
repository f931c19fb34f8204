"""The WebUI's own DeepBooru code describes pictures, with a small network in the place of its weights."""

import numpy as np
import pytest
import torch
from PIL import Image


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
    with registry["deepbooru"](host, threshold=0.5, use_spaces=False, sort_alpha=True, escape=True) as captioner:
        assert captioner.describe(red) == r"1girl, red_hair, smile_\(mouth\)"
    assert shared.opts.data == before
