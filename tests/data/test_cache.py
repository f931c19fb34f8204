import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lib_sdtune.config import Config
from lib_sdtune.data import cache, tensor_store
from lib_sdtune.data.cache import LatentCache
from lib_sdtune.data.loader import Dataset
from lib_sdtune.data.lru_cache import LRUCache
from lib_sdtune.data.picture import load
from lib_sdtune.data.plain_background import Other
from lib_sdtune.data.scan import scan
from lib_sdtune.data.text_cache import TextCache
from lib_sdtune.errors import RunError
from lib_sdtune.families.base import Conditioning
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sections.loss import LossConfig
from tests.data import awful


class Encoder:
    """Averages 8 x 8 pixels; counts its calls; spoils what it is told to."""

    def __init__(self, spoilt=False):
        self.calls, self.spoilt = [], spoilt

    def __call__(self, pixels):
        self.calls.append(tuple(pixels.shape))
        mean = torch.nn.functional.avg_pool2d(pixels, 8).mean(1, keepdim=True).repeat(1, 4, 1, 1)
        return (mean * float("nan") if self.spoilt else mean), mean * 0 + 0.5


class Picky(Encoder):
    """Fails at everything but plain grey."""

    def __call__(self, pixels):
        self.spoilt = bool(pixels.any())
        return super().__call__(pixels)


@pytest.fixture
def data(tmp_path):
    (tmp_path / "pics").mkdir()
    for name, image in {"a.png": awful.scene(128, 64), "b.png": awful.scene(64, 64, 1), "c.png": awful.rgba(64, 128)}.items():
        image.save(tmp_path / "pics" / name)
    config = Config.from_dict({"name": "x", "concepts": [{"images": "pics"}],
                               "dataset": {"resolution": 96, "min_bucket_reso": 64, "flip_aug": True}})
    return Dataset(scan([Concept("pics")], config.dataset, LossConfig(), tmp_path), config)


def files(folder):
    return sorted(Path(folder).glob("*/*"))


def test_what_is_encoded_once_is_never_encoded_again(data, tmp_path):
    encoder = Encoder()
    cache = LatentCache(tmp_path / "cache", encoder, "vae")
    seen = []
    cache.prepare(data.variants(), lambda done, total, text: seen.append((done, total)))
    assert len(encoder.calls) == len(files(tmp_path / "cache")) == 6 and seen[-1] == (6, 6)
    again = Encoder()
    later = LatentCache(tmp_path / "cache", again, "vae")
    later.prepare(data.variants())
    for example in data.variants():
        assert all(torch.equal(a, b) for a, b in zip(cache.latents(example), later.latents(example), strict=True))
    assert not again.calls
    LatentCache(tmp_path / "cache", again, "another vae").prepare(data.variants())
    assert len(again.calls) == 6


def test_latents_are_those_of_the_pixels_and_mirror_with_them(data, tmp_path):
    cache = LatentCache(tmp_path / "cache", Encoder(), "vae")
    straight, mirrored = [example for example in data.variants() if example.index == 0]
    mean, std = cache.latents(straight)
    assert mean.shape == std.shape == (4, straight.size[1] // 8, straight.size[0] // 8) and mean.dtype == torch.float32
    assert torch.allclose(mean.flip(2), cache.latents(mirrored)[0], atol=1e-6)


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(path.read_bytes()[:-9]), lambda path: path.write_bytes(b""),
                                   lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x7f"),
                                   lambda path: path.write_bytes(b"\xff" * 500)])
def test_a_damaged_entry_is_made_again(data, tmp_path, spoil):
    LatentCache(tmp_path / "cache", Encoder(), "vae").prepare(data.variants())
    before = {path: path.read_bytes() for path in files(tmp_path / "cache")}
    spoil(files(tmp_path / "cache")[0])
    encoder = Encoder()
    LatentCache(tmp_path / "cache", encoder, "vae").prepare(data.variants())
    assert len(encoder.calls) == 1
    assert {path: path.read_bytes() for path in files(tmp_path / "cache")} == before


def test_stopping_keeps_what_is_done(data, tmp_path):
    def stop(done, total, text):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LatentCache(tmp_path / "cache", Encoder(), "vae").prepare(data.variants(), stop)
    encoder = Encoder()
    LatentCache(tmp_path / "cache", encoder, "vae").prepare(data.variants())
    assert len(encoder.calls) == 4


def test_batches_hold_one_size_and_give_the_same_latents(data, tmp_path):
    single, many = LatentCache(tmp_path / "one", Encoder(), "vae"), LatentCache(tmp_path / "many", encoder := Encoder(), "vae")
    single.prepare(data.variants())
    many.prepare(data.variants(), batch_size=4)
    assert len(encoder.calls) < 6 and max(shape[0] for shape in encoder.calls) > 1
    for example in data.variants():
        assert torch.allclose(single.latents(example)[0], many.latents(example)[0], atol=1e-6)


def test_without_a_folder_nothing_is_written(data, tmp_path):
    cache = LatentCache(None, Encoder(), "vae", masks=True)
    example = next(iter(data.variants()))
    assert torch.equal(cache.latents(example)[0], LatentCache(tmp_path / "c", Encoder(), "vae").latents(example)[0])


def test_nan_is_tried_again_precisely_then_blamed_on_the_picture_or_the_vae(data, tmp_path):
    example = next(iter(data.variants()))
    saved = LatentCache(tmp_path / "a", Encoder(spoilt=True), "vae", encode_precisely=Encoder())
    assert torch.isfinite(saved.latents(example)[0]).all()
    with pytest.raises(RunError, match=f"for {example.picture.path.name}, and sound ones for a plain grey picture. Remove"):
        LatentCache(tmp_path / "b", Encoder(spoilt=True), "vae", encode_precisely=Picky()).latents(example)
    with pytest.raises(RunError, match=f"{example.picture.path.name} as for a plain grey picture: it is the VAE"):
        LatentCache(tmp_path / "b", Encoder(spoilt=True), "vae", encode_precisely=Encoder(spoilt=True)).latents(example)
    assert not files(tmp_path / "b")


def test_a_picture_that_changed_or_went_is_named(data, tmp_path):
    example = next(iter(data.variants()))
    awful.scene(seed=8).save(example.picture.path)
    with pytest.raises(RunError, match="changed"):
        LatentCache(None, Encoder(), "vae").latents(example)
    example.picture.path.unlink()
    with pytest.raises(RunError, match=example.picture.path.name):
        LatentCache(None, Encoder(), "vae").latents(example)


def test_masks_come_with_the_latents(data, tmp_path):
    cache = LatentCache(tmp_path / "cache", Encoder(), "vae", masks=True)
    cache.prepare(data.variants())
    masks = {(example.picture.path.name, example.flip): cache.mask(example) for example in data.variants()}
    assert masks["a.png", False].eq(1).all()
    clear = masks["c.png", False]
    assert clear.shape[1] > clear.shape[2] and clear[..., 0].eq(0).all() and clear[..., -1].eq(1).all()
    assert torch.equal(masks["c.png", True], clear.flip(2))
    assert LatentCache(tmp_path / "cache", Encoder(), "vae").mask(next(iter(data.variants()))) is None


def test_memory_holds_the_latest_only():
    recent = LRUCache(limit=1000)
    for number in range(50):
        recent.add(number, {"a": torch.zeros(50)})
    assert recent.size == 1000 and recent.get(49) is not None and recent.get(40) is None
    recent.add(100, {"a": torch.zeros(5000)})
    assert list(recent.entries) == [100]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_read_only_disk_is_a_sentence(data, tmp_path):
    (tmp_path / "cache").mkdir(mode=0o500)
    with pytest.raises(RunError, match="cache_latents"):
        LatentCache(tmp_path / "cache", Encoder(), "vae").prepare(data.variants())


class TextEncoder:
    def __init__(self, vector=False):
        self.calls, self.vector = [], vector

    def __call__(self, captions):
        self.calls += captions
        (caption,) = captions
        rows = torch.full((1, 77 * (1 + len(caption) // 10), 4), float(len(caption)), dtype=torch.bfloat16)
        return Conditioning(rows, torch.ones(1, 3) if self.vector else None)


def test_captions_are_encoded_once(tmp_path):
    encoder = TextEncoder(vector=True)
    cache = TextCache(tmp_path / "text", encoder, "clip")
    first = cache.conditioning(["a", "b", "a"])
    assert first.context.shape == (3, 77, 4) and first.vector.shape == (3, 3) and encoder.calls == ["a", "b"]
    again = TextEncoder(vector=True)
    later = TextCache(tmp_path / "text", again, "clip").conditioning(["a", "b", "a"])
    assert torch.equal(first.context, later.context) and later.context.dtype == torch.bfloat16 and not again.calls


def test_shorter_captions_are_filled_up_with_empty_chunks(tmp_path):
    cache = TextCache(tmp_path / "text", TextEncoder(), "clip")
    context = cache.conditioning(["short", "a caption of length 22"]).context
    assert context.shape == (2, 231, 4)
    assert context[0, :77].eq(5).all() and context[0, 77:].eq(0).all() and context[1].eq(22).all()


def test_text_without_a_folder_and_without_room(tmp_path):
    assert TextCache(None, TextEncoder(), "clip").conditioning(["a"]).context.shape == (1, 77, 4)
    cache = TextCache(tmp_path / "text", TextEncoder(), "clip")
    cache.room = 0
    cache.conditioning(["a"])
    assert not files(tmp_path / "text")


def test_store_gives_back_what_was_put_in_or_nothing(tmp_path):
    path = tensor_store.path_of(tmp_path, tensor_store.key("a", 1))
    tensors = {"half": torch.randn(3, 2).half(), "count": torch.tensor([1, 2]), "whole": torch.randn(1, 2, 3)}
    tensor_store.write(path, tensors)
    back = tensor_store.get(path)
    assert back.keys() == tensors.keys() and all(torch.equal(back[name], tensors[name]) for name in tensors)
    assert tensor_store.get(tmp_path / "gone") is None and tensor_store.key("a", 1) != tensor_store.key("a1")
    assert not list(tmp_path.glob("*/*.tmp"))


DECODED = {3: "35a3d6fe39d12007"}
"""cache.VERSION -> digest of what it decodes the pictures below to. Where this fails, raise the version: latents on disk are of
the pixels that it stands for."""


def test_the_version_in_the_key_is_that_of_the_decoding(tmp_path):
    steps = np.arange(64, dtype=np.int64).reshape(8, 8)
    images = {"grey.png": Image.fromarray(np.uint8(steps)), "sixteen.png": Image.fromarray(np.uint16(steps * 1000)),
            "fractions.tif": Image.fromarray(np.float32(steps / 63)), "whole.tif": Image.fromarray(np.int32(steps * 9000 - 5000)),
            "clear.png": Image.fromarray(np.uint8(np.stack([steps, steps * 2, steps * 3, steps * 4], -1)))}
    total = hashlib.blake2b(digest_size=8)
    for name, image in images.items():
        image.save(tmp_path / name)
        total.update(load(tmp_path / name)[0].tobytes())
    assert {cache.VERSION: total.hexdigest()} == DECODED


def test_latents_of_another_decoding_are_made_anew_and_texts_stay(data, tmp_path, monkeypatch):
    LatentCache(tmp_path / "cache", Encoder(), "vae").prepare(data.variants())
    name = TextCache(None, None, "clip").name("a cat")
    monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
    again = Encoder()
    LatentCache(tmp_path / "cache", again, "vae").prepare(data.variants())
    assert len(again.calls) == 6 and TextCache(None, None, "clip").name("a cat") == name


def test_a_picture_is_encoded_with_the_background_that_it_is_shown_with(data, tmp_path):
    Image.new("RGB", (64, 64), (240, 240, 240)).save(tmp_path / "pics" / "b.png")
    picture = Image.open(tmp_path / "pics" / "b.png")
    picture.paste((200, 20, 20), (16, 16, 48, 48))
    picture.save(tmp_path / "pics" / "b.png")
    data = Dataset(scan([Concept("pics")], data.dataset, LossConfig(), tmp_path), data.config)
    own = next(example for example in data.variants() if example.picture.path.name == "b.png" and not example.flip)
    cache = LatentCache(tmp_path / "cache", Encoder(), "vae")
    means = [cache.latents(replace(own, background=other))[0] for other in (None, Other(True, 0), Other(True, 1))]
    assert all(not torch.equal(means[a], means[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert all(torch.allclose(mean[:, 3:5, 3:5], means[0][:, 3:5, 3:5], atol=0.01) for mean in means), "the subject stays"
    again = LatentCache(tmp_path / "cache", Encoder(spoilt=True), "vae")
    assert torch.equal(again.latents(replace(own, background=Other(True, 1)))[0], means[2])
