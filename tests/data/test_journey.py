"""Forty pictures that nobody should train on: looked at, prepared, captioned, and learned from for an epoch."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageFilter

from lib_sdtune.data import tags
from lib_sdtune.data.caption_editing import Captions
from lib_sdtune.data.inspect import inspect
from lib_sdtune.data.prepare import PrepareConfig, prepare
from tests.data import awful
from tests.hosts import TinyHost, settings, train


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("snapshots") / "10_ron"
    folder.mkdir()
    for name, content in (awful.fine() | {name: content for name, (content, _) in awful.broken().items()}).items():
        (folder / name).write_bytes(content)
    sharp = awful.scene(640, 480, 7)
    sharp.save(folder / "original.png")
    sharp.resize((400, 300)).save(folder / "smaller copy.jpg", quality=70)
    (folder / "same file.jpg").write_bytes((folder / "photo.jpg").read_bytes())
    awful.noise(12, 9).resize((640, 480), Image.Resampling.NEAREST).filter(ImageFilter.GaussianBlur(6)).save(folder / "shaken.png")
    Image.fromarray(np.tile(np.arange(8000) // 32 % 256, (100, 1)).astype(np.uint8)).save(folder / "8000x100.png")
    grain = np.random.default_rng(0).integers(80, 100, (126, 128), dtype=np.uint8)  # a flat one that large would be left out
    Image.fromarray(np.tile(grain, (50, 50))).save(folder / "40 megapixels.png")
    awful.scene(300, 200, 8).save(folder / "original.webp")  # the name of another
    awful.scene(300, 200, 9).save(folder / ("long " * 40 + ".png"))
    awful.scene(300, 200, 10).save(folder / "<script>alert(1)<,script>.png")
    awful.scene(300, 200, 11).save(folder / "000123.png")
    captions = {"plain.txt": "ron, 猫".encode("cp932"), "photo.caption": b"ron, a photo", "rotated.txt": b"", "orphan.txt": b"nobody",
                "wide.txt": b"ron, " + b"very " * 100 + b"wide", "modern.txt": b"ron\nsecond line", "old.txt": b"\xff\xfer\x00o\x00n\x00"}
    for name, content in captions.items():
        (folder / name).write_bytes(content)
    assert sum(not path.suffix.startswith((".txt", ".caption")) for path in folder.iterdir()) == 40
    return folder


NAMED = {"same file.jpg": "duplicate", "smaller copy.jpg": "duplicate", "shaken.png": "blurred", "8000x100.png": "extreme aspect",
         "original.webp": "name clash", "orphan.txt": "caption orphan", "plain.txt": "caption not UTF-8", "rotated.txt": "caption empty",
         "wide.png": "caption long", "modern.txt": "caption lines", "000123.png": "caption missing", "moves.gif": "animated",
         "print.jpg": "CMYK", "rotated.jpg": "rotated", "clear.png": "transparent", "liar.png": "wrong extension", "dot.png": "too small"}


def test_forty_awful_pictures_from_the_snapshot_to_the_first_epoch(snapshots, tmp_path):
    before = {path.name: path.read_bytes() for path in snapshots.iterdir()}

    seen = inspect(snapshots, tokenizer=str.split)
    kinds = Counter((problem["path"], problem["kind"]) for problem in seen["problems"])
    assert seen["images"] == 31
    assert {name for name, kind in NAMED.items() if (name, kind) not in kinds} == set()
    assert {(name, kind) for name, (_, kind) in awful.broken().items()} <= set(kinds)

    out = tmp_path / "ready"
    outcome = prepare(snapshots, out, PrepareConfig(resize="square", resolution=64, crop="edges", folder="1_ron"))
    assert sum(problem.fatal for problem in outcome.problems) == len(awful.broken())

    captions = Captions(out)
    captions.edit(lambda caption: tags.lead(caption, "ron"))
    written, problems = captions.save()
    assert written and not problems and not captions.select("not ron")

    ready = inspect(out)
    assert ready["images"] == ready["captions"] == len(captions) == 31 and set(ready["buckets"]) == {"512x512"}
    assert not [problem for problem in ready["problems"] if problem["fatal"]]
    control = train(TinyHost(tmp_path / "data"), settings(out, train={"max_train_steps": 0, "max_train_epochs": 1, "batch_size": 16},
                                                          dataset={"resolution": 64}))
    assert control.state == "finished"
    assert {path.name: path.read_bytes() for path in snapshots.iterdir()} == before
