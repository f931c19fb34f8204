"""Pictures that a model cannot show are told before anything is trained."""

import pytest
import torch

from lib_sdtune.config import Config
from lib_sdtune.data.loader import Dataset
from lib_sdtune.data.scan import scan
from lib_sdtune.training import vae_detail
from lib_sdtune.training.vae_detail import MIN_SHARE, examples_to_look_at, sentence, share_kept
from tests.hosts import TinyHost, bits, pictures, settings


def test_the_same_picture_comes_back_whole_and_a_grey_one_not():
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert share_kept(image, image) == 1
    assert share_kept(image, torch.full_like(image, 0.5)) < 0.1


def test_coarse_parts_do_not_count():
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert share_kept(image, image + 0.3) == pytest.approx(1, abs=1e-4)


def test_pictures_that_lose_their_fine_parts_are_named():
    text = sentence(["a.png", "b.png"], [MIN_SHARE + 0.1, MIN_SHARE - 0.1])
    assert "1 of the 2 pictures" in text and "b.png" in text and "a.png" not in text
    assert sentence(["a.png"], [MIN_SHARE]) == ""


def dataset(tmp_path, count):
    config = Config.from_dict(settings(pictures(tmp_path / "1_ron", count=count)))
    return config, Dataset(scan(config.concepts, config.dataset, config.loss, tmp_path), config)


@pytest.mark.parametrize("count, looked_at", [(1, 1), (3, 3), (9, 3), (12, 4)])
def test_few_pictures_are_looked_at(tmp_path, count, looked_at):
    _, data = dataset(tmp_path, count)
    assert len(examples_to_look_at(data)) == looked_at <= vae_detail.MAX_PICTURES


def test_the_model_stays_as_it_was(tmp_path, monkeypatch):
    host = TinyHost(tmp_path / "data")
    config, data = dataset(tmp_path, 2)
    before = bits(host.model)
    monkeypatch.setattr(vae_detail, "MIN_SHARE", 2.0)
    assert "2 of the 2 pictures" in vae_detail.lost_detail(host, config.model, data)
    assert all(before[name].equal(tensor) for name, tensor in bits(host.model).items())
