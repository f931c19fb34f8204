import errno
import json
import os
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from lib_sdtune.config import Config
from lib_sdtune.data.prepare import PrepareConfig, background, batch, crop, originals, picture, prepare, preview
from lib_sdtune.data.scan import scan
from lib_sdtune.errors import RunError, UserError
from tests.data import awful


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    awful.scene(200, 150).save(folder / "a.png")
    awful.scene(150, 200, 1).save(folder / "b.jpg")
    (folder / "a.txt").write_text("ron, a cat")
    return folder


def small(**options):
    return PrepareConfig(**{"resolution": 128, "min_bucket_reso": 64, "max_bucket_reso": 256} | options)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def sizes(folder):
    pictures = [path for path in sorted(folder.rglob("*.*")) if path.suffix in (".png", ".jpg", ".webp")]
    return {path.relative_to(folder).as_posix(): Image.open(path).size for path in pictures}


@pytest.mark.parametrize("options, counts", [
    ({}, {(128, 64): 0, (64, 128): 0}), ({"resize": "square"}, {(128, 128): 2}), ({"resize": "multiple"}, {(192, 128): 1, (128, 192): 1}),
    ({"resize": "none"}, {(200, 150): 1, (150, 200): 1})])
def test_sizes(source, tmp_path, options, counts):
    before = contents(source)
    prepare(source, tmp_path / "out", small(**options))
    written_sizes = list(sizes(tmp_path / "out").values())
    if "resize" in options:
        assert {size: written_sizes.count(size) for size in written_sizes} == counts
    assert len(written_sizes) == 2 and all(side % 64 == 0 or options.get("resize") == "none" for size in written_sizes for side in size)
    assert contents(source) == before


def test_the_bucket_is_the_one_of_training(source, tmp_path):
    from lib_sdtune.data.buckets import Buckets
    from lib_sdtune.sections.dataset import DatasetConfig

    prepare(source, tmp_path / "out", small())
    buckets = Buckets(DatasetConfig(resolution=128, min_bucket_reso=64, max_bucket_reso=256))
    size_by_name = sizes(tmp_path / "out")
    assert len(size_by_name) == 2
    for name, size in size_by_name.items():
        original = Image.open(next(source.glob(name.split(".")[0] + ".[pj]*")))
        assert size == buckets.fit(*original.size).size == buckets.fit(*size).size == buckets.fit(*size).scaled


def test_again_changes_nothing_and_new_pictures_are_added(source, tmp_path):
    out = tmp_path / "out"
    first = prepare(source, out, small(flip=True))
    before = {name: (out / name).stat().st_mtime_ns for name in contents(out)}
    again = prepare(source, out, small(flip=True))
    assert len(first.written) == 6 and not again.written and len(again.unchanged) == 6
    assert {name: (out / name).stat().st_mtime_ns for name in contents(out)} == before
    awful.scene(seed=3).save(source / "c.png")
    assert sorted(prepare(source, out, small(flip=True)).written) == ["c-flip.png", "c.png"]
    (out / "a.png").unlink()
    assert prepare(source, out, small(flip=True)).written == ["a.png"]


def test_a_changed_original_and_changed_settings_are_followed(source, tmp_path):
    out = tmp_path / "out"
    prepare(source, out, small(flip=True))
    awful.scene(200, 150, 8).save(source / "a.png")
    assert sorted(prepare(source, out, small(flip=True)).written) == ["a-flip.png", "a.png"]
    changed = prepare(source, out, small(format="jpg"))
    assert sorted(changed.written) == ["a.jpg", "b.jpg"] and sorted(changed.removed) == [
        "a-flip.png", "a-flip.txt", "a.png", "b-flip.png", "b.png"]
    assert sorted(contents(out)) == ["a.jpg", "a.txt", "b.jpg", "manifest.json"]


def test_what_its_owner_changed_or_had_there_is_left_alone(source, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.png").write_bytes(b"mine")
    first = prepare(source, out, small())
    assert [problem.path.name for problem in first.problems] == ["b.png"]
    (out / "a.txt").write_text("edited by hand")
    (out / "a.png").write_bytes(b"retouched")
    second = prepare(source, out, small(resize="square", trigger="new"))
    assert sorted(problem.path.name for problem in second.problems) == ["a.png", "a.txt", "b.png"]
    assert [(out / name).read_bytes() for name in ("a.png", "a.txt", "b.png")] == [b"retouched", b"edited by hand", b"mine"]


@pytest.mark.parametrize("forget", [False, True])
def test_an_interruption_costs_nothing(source, tmp_path, forget):
    for number in range(10):
        awful.scene(90, 90, number).save(source / f"{number}.png")

    def stop(done, total, text):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "out", small(), stop)
    if forget:  # killed before the manifest was written
        (tmp_path / "out/manifest.json").unlink()
    finished = prepare(source, tmp_path / "out", small())
    prepare(source, tmp_path / "whole", small())
    assert contents(tmp_path / "out") == contents(tmp_path / "whole") and not finished.problems
    assert len(finished.unchanged) >= 5 and len(finished.written) + len(finished.unchanged) == 13

def test_a_large_jpeg_is_decoded_no_larger_than_needed(tmp_path):
    large = awful.scene(1601, 1203, 4).filter(ImageFilter.GaussianBlur(2))
    large.save(tmp_path / "a.jpg", quality=95, exif=awful.exif(6))
    settings = small(resize="bucket")
    image, size, content = originals.read_original(tmp_path / "a.jpg", needed_side=partial(picture.needed_side, settings, None))
    assert size == (1203, 1601) and image.size == (301, 401)
    ((_, quick, did),) = picture.pieces(image, settings, None, size)
    ((_, whole, same),) = picture.pieces(originals.read_original(tmp_path / "a.jpg")[0], settings)
    assert did == same and quick.size == whole.size
    assert np.abs(np.asarray(quick, float) - np.asarray(whole, float)).mean() < 1.5


@pytest.mark.parametrize("options, box", [({"resize": "none"}, None), ({"resize": "multiple"}, None), ({"split": True, "split_over": 1.2}, None),
                                          ({}, (0, 0, 0.1, 0.1))])
def test_where_pixels_count_all_are_decoded(options, box):
    assert picture.needed_side(small(**options), box, 1600, 1200) is None


def test_long_names_are_cut_for_disks(source, tmp_path):
    for letter in "ab":
        awful.scene(seed=ord(letter)).save(source / ("🦊" * 60 + letter * 11 + ".png"))
    names = prepare(source, tmp_path / "out", small(flip=True)).written
    assert len(names) == len(set(names)) == 10 and all(len(name.encode()) < 225 for name in names)


def test_a_full_disk_is_told_and_what_is_there_is_whole(source, tmp_path, monkeypatch):
    for number in range(4):
        awful.scene(90, 90, number).save(source / f"{number}.png")
    written, write = [], Path.write_bytes

    def full(path, data):
        written.append(path)
        if len(written) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError, match="No space left"):
        prepare(source, tmp_path / "out", small())
    monkeypatch.undo()
    assert not list((tmp_path / "out").glob("*.tmp"))
    there = contents(tmp_path / "out")
    prepare(source, tmp_path / "whole", small())
    assert 3 <= len(there) < 8 and all(contents(tmp_path / "whole")[name] == data for name, data in there.items() if name != "manifest.json")
    assert not prepare(source, tmp_path / "out", small()).problems


@pytest.mark.parametrize("full", [1, 50])
def test_a_picture_is_in_the_manifest_only_when_it_is_in_place(source, tmp_path, monkeypatch, full):
    monkeypatch.setattr(batch, "FULL", full)
    sync, pressed = batch.sync, []

    def interrupted(path):
        if not pressed:
            pressed.append(path)
            raise KeyboardInterrupt
        sync(path)

    monkeypatch.setattr(batch, "sync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "out", small())
    assert json.loads((tmp_path / "out/manifest.json").read_text())["originals"] == {}
    assert sorted(contents(tmp_path / "out")) == ["manifest.json"]


def test_names_that_would_collide(source, tmp_path):
    for name in ("x.png", "x.jpg", "X.webp", "x-jpg.png"):
        awful.scene(seed=len(name)).save(source / name)
    prepare(source, tmp_path / "out", small())
    names = [name for name in sizes(tmp_path / "out") if name.lower().startswith("x")]
    assert len({name.lower() for name in names}) == 4
    (source / "deep").mkdir()
    awful.scene(seed=9).save(source / "deep/a.png")
    prepare(source, tmp_path / "kohya", small(folder="10_ron cat"))
    assert "10_ron cat/a.png" in sizes(tmp_path / "kohya") and len(sizes(tmp_path / "kohya")) == 7


def test_captions_are_carried_over_and_edited(source, tmp_path):
    (source / "b.txt").write_bytes("caf\xe9, red, red".encode("latin-1"))
    awful.scene(seed=3).save(source / "c.png")
    out = tmp_path / "out"
    prepare(source, out, small(trigger="sks", remove_tags="a cat", replace=["red=blue"], replace_regex=["caf(.)=tea \\1"],
                               prompt="a thing"))
    assert {name: data.decode() for name, data in contents(out).items() if name.endswith(".txt")} == {
        "a.txt": "sks, ron\n", "b.txt": "sks, tea é, blue\n", "c.txt": "sks, a thing\n"}
    only_words = prepare(source, out, small(trigger="other"))
    assert sorted(only_words.written) == ["a.txt", "b.txt", "c.txt"]
    assert {problem.kind for problem in only_words.problems} == {"caption not UTF-8"}


def test_a_captioner_fills_what_is_missing_once(source, tmp_path):
    asked = []
    settings = small(trigger="sks")
    for _ in range(2):
        prepare(source, tmp_path / "out", settings, describe=lambda image: asked.append(image.size) or "seen")
    assert len(asked) == 1 and (tmp_path / "out/b.txt").read_text() == "sks, seen\n"


def subject(size=(120, 80), ground=(250, 250, 245)):
    image = Image.new("RGB", size, ground)
    ImageDraw.Draw(image).ellipse((30, 10, 90, 70), fill=(200, 30, 30))
    ImageDraw.Draw(image).ellipse((50, 30, 70, 50), fill=ground)  # a hole that the border does not reach
    return image


def test_a_plain_background_is_flooded_from_the_border_only(tmp_path):
    subject().save(tmp_path / "a.png")
    ((_, image, did),) = preview(tmp_path / "a.png", PrepareConfig(resize="none", background="#00ff00", cut_out="border"))
    assert image.getpixel((2, 2)) == (0, 255, 0) and image.getpixel((40, 40)) == (200, 30, 30)
    assert image.getpixel((60, 40)) == (250, 250, 245)
    assert "plain background" in did[0]


def test_grain_in_a_plain_background_leaves_no_islands(tmp_path):
    grain = np.random.default_rng(0).normal(0, 10, (80, 120, 3))
    Image.fromarray((np.asarray(subject(ground=(200, 190, 180)), float) + grain).clip(0, 255).astype(np.uint8)).save(tmp_path / "a.png")
    ((_, image, _),) = preview(tmp_path / "a.png", PrepareConfig(resize="none", background="#00ff00", cut_out="border"))
    corner = np.asarray(image)[:, :25]
    assert (corner == (0, 255, 0)).all()


@pytest.mark.parametrize(("options", "names"), [
    ({}, ["a.mask.png", "a.png", "a.txt"]), ({"flip": True}, ["a-flip.mask.png", "a-flip.png", "a-flip.txt", "a.mask.png", "a.png", "a.txt"]),
    ({"background": "red"}, ["a.mask.png", "a.png", "a.txt"])])
def test_a_mask_leaves_the_background_out_of_training_and_the_picture_as_it_is(tmp_path, options, names):
    subject = Image.new("RGB", (128, 128), (200, 220, 240))
    subject.paste((90, 20, 10), (32, 32, 80, 96))
    (tmp_path / "in").mkdir()
    subject.save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "a.txt").write_text("a ron cat")
    prepare(tmp_path / "in", tmp_path / "out", small(masks=True, cut_out="border", resize="none", **options))
    assert [path for path in sorted(contents(tmp_path / "out")) if not path.startswith(".") and not path.endswith(".json")] == names
    mask, shown = (Image.open(tmp_path / "out" / name) for name in ("a.mask.png", "a.png"))
    assert mask.mode == "L" and (mask.getpixel((50, 60)), mask.getpixel((5, 5))) == (255, 0) and shown.mode == "RGB"
    assert shown.getpixel((5, 5)) == ((255, 0, 0) if options.get("background") else (200, 220, 240))
    if options.get("flip"):
        assert Image.open(tmp_path / "out" / "a-flip.mask.png").getpixel((127 - 35, 40)) == 255
    config = Config.from_dict({"name": "ron", "concepts": [{"images": str(tmp_path / "out")}], "dataset": {"masked_loss": True}})
    pictures = scan(config.concepts, config.dataset, config.loss, tmp_path).pictures
    assert len(pictures) == len(names) // 3 and all(picture.mask and picture.caption == "a ron cat" for picture in pictures)


def test_where_no_background_is_found_no_mask_is_written_and_it_is_said(source, tmp_path):
    piece, = preview(source / "a.png", small(masks=True, cut_out="border"))
    assert piece[1].mode == "RGB" and "background not found" in piece[2]


def test_a_background_that_is_not_plain_stays(tmp_path):
    awful.noise().save(tmp_path / "a.png")
    ((_, image, did),) = preview(tmp_path / "a.png", PrepareConfig(resize="none", background="white", cut_out="border"))
    assert np.array_equal(np.array(image), np.array(awful.noise())) and did == ["background not found"]


def test_water_finds_its_way_through_a_spiral():
    alike = np.zeros((11, 11), bool)
    for inset in (1, 3):
        alike[inset, inset - 1 : 11 - inset] = alike[inset : 11 - inset, 10 - inset] = alike[10 - inset, inset : 11 - inset] = True
        alike[inset + 2 : 11 - inset, inset] = True
    alike[0] = True
    pixels = np.where(alike[..., None], 255, 0).astype(np.uint8).repeat(3, -1)
    pixels[:, 0], pixels[:, -1], pixels[-1] = 255, 255, 255
    wet = background.flooded(pixels, 10)
    assert wet is not None and wet[pixels[..., 0] == 0].sum() == 0
    reached = np.zeros((11, 11), bool)
    todo = [(0, 0)]
    while todo:
        y, x = todo.pop()
        if 0 <= y < 11 and 0 <= x < 11 and pixels[y, x, 0] == 255 and not reached[y, x]:
            reached[y, x] = True
            todo += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    assert np.array_equal(wet, reached)


def test_transparency_is_painted_or_kept(tmp_path):
    awful.rgba().save(tmp_path / "a.png")
    ((_, plain, _),) = preview(tmp_path / "a.png", PrepareConfig(resize="none", background="blue"))
    ((_, kept, _),) = preview(tmp_path / "a.png", PrepareConfig(resize="square", resolution=128, alpha=True))
    assert plain.mode == "RGB" and plain.getpixel((2, 2)) == (0, 0, 255)
    assert kept.mode == "RGBA" and kept.size == (128, 128) and kept.getpixel((2, 2))[3] == 0 and kept.getpixel((120, 2))[3] == 255


@pytest.mark.parametrize("how", ["edges", "entropy"])
@pytest.mark.parametrize("left", [0, 130, 300])
def test_crops_go_where_something_is_to_be_seen(how, left):
    image = Image.new("RGB", (400, 100), (90, 90, 90))
    image.paste(awful.noise(100, 100), (left, 0))
    fit = crop.BucketFit((100, 100), (400, 100))
    assert abs(crop.offset(image, fit, how)[0] - left) <= 8


def test_a_plain_picture_is_cropped_in_the_centre():
    image, fit = Image.new("RGB", (400, 100), (90, 90, 90)), crop.BucketFit((100, 100), (400, 100))
    assert [crop.offset(image, fit, how) for how in ("centre", "edges", "entropy")] == [(150, 0)] * 3


def test_long_pictures_are_split_so_that_all_of_them_is_seen(tmp_path):
    awful.scene(1000, 100).save(tmp_path / "a.png")
    pieces = crop.tiles(1000, 100, 2.0)
    assert pieces[0][0] == 0 and pieces[-1][2] == 1000 and all(piece[2] - piece[0] == 100 for piece in pieces)
    assert all(later[0] < earlier[2] for earlier, later in zip(pieces, pieces[1:], strict=False))
    assert crop.tiles(199, 100, 2.0) is None and crop.tiles(100, 300, 2.0)[-1] == (0, 200, 100, 300)
    previews = preview(tmp_path / "a.png", small(split=True, flip=True))
    assert [suffix for suffix, _, _ in previews][:4] == ["-1", "-1-flip", "-2", "-2-flip"]
    assert {image.size for _, image, _ in previews} == {(128, 128)}


def test_a_crop_drawn_by_hand(source, tmp_path):
    prepare(source, tmp_path / "out", small(resize="none"), boxes={"a.png": [0.25, 0, 0.75, 0.5]})
    expected = Image.open(source / "a.png").crop((50, 0, 150, 75))
    assert np.array_equal(np.array(Image.open(tmp_path / "out/a.png")), np.array(expected))
    for bad in ([0, 0, 0.001, 1], [1, 2], "abcd", ["x", 0, 1, 1]):
        with pytest.raises(UserError, match="crop"):
            prepare(source, tmp_path / "out2", small(), boxes={"a.png": bad})
    with pytest.raises(UserError, match="no such picture"):
        prepare(source, tmp_path / "out2", small(), boxes={"z.png": [0, 0, 1, 1]})


def test_a_crop_drawn_by_hand_stays_until_it_is_taken_back(source, tmp_path):
    settings = small(resize="none")
    prepare(source, tmp_path / "out", settings, boxes={"a.png": [0.25, 0, 0.75, 0.5]})
    awful.scene(seed=3).save(source / "c.png")
    assert prepare(source, tmp_path / "out", settings).written == ["c.png"]
    assert sizes(tmp_path / "out")["a.png"] == (100, 75)
    (source / "a.png").rename(tmp_path / "a.png")
    assert prepare(source, tmp_path / "out", settings).problems[-1].kind == "original gone"
    (tmp_path / "a.png").rename(source / "a.png")
    prepare(source, tmp_path / "out", settings, boxes={"a.png": None})
    assert sizes(tmp_path / "out")["a.png"] == (200, 150)


class Cutter:
    """In the place of rembg: what is left of the middle is background."""

    @staticmethod
    def remove(image):
        assert image.mode == "RGB"
        image = image.convert("RGBA")
        image.paste((0, 0, 0, 0), (0, 0, image.width // 2, image.height))
        return image


def test_rembg_cuts_out_where_it_is_installed(source, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rembg", Cutter)
    settings = small(resize="none", cut_out="rembg")
    prepare(source, tmp_path / "white", small(resize="none", cut_out="rembg", background="white"))
    image = Image.open(tmp_path / "white/a.png")
    assert image.mode == "RGB" and image.getpixel((10, 10)) == (255, 255, 255)
    assert image.getpixel((190, 10)) == Image.open(source / "a.png").getpixel((190, 10))
    settings.alpha = True
    prepare(source, tmp_path / "mask", settings)
    assert Image.open(tmp_path / "mask/a.png").getchannel("A").getextrema() == (0, 255)
    did = json.loads((tmp_path / "mask/manifest.json").read_text())["originals"]["a.png"]["did"]
    assert did == {"a.png": ["cut out by rembg, mask kept"]}


def test_rembg_that_is_not_there_is_a_sentence(source, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rembg", None)
    with pytest.raises(UserError, match="not installed here"):
        prepare(source, tmp_path / "out", small(cut_out="rembg", background="white"))


class Finder:
    """In the place of OpenCV's: sees a face 40 pixels wide at the given place, or none."""

    place = (200, 30)

    def __init__(self, file):
        assert file.endswith("haarcascade_frontalface_default.xml")

    def detectMultiScale(self, grey, scale, neighbours):
        assert grey.dtype == np.uint8 and max(grey.shape) == 256
        return [(*self.place, 40, 40)] if self.place else ()


def test_a_face_is_kept_in_the_picture(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(data=SimpleNamespace(haarcascades="/somewhere/"), CascadeClassifier=Finder))
    image, fit = Image.new("RGB", (400, 100), (90, 90, 90)), crop.BucketFit((100, 100), (400, 100))
    left, top = crop.offset(image, fit, "face")
    assert left <= 200 * 400 / 256 and left + 100 >= 240 * 400 / 256 and top == 0
    monkeypatch.setattr(Finder, "place", None)
    image.paste(awful.noise(100, 100), (300, 0))
    assert crop.offset(image, fit, "face")[0] >= 290  # then where most is to be seen


def test_faces_without_opencv_are_a_sentence(source, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match="needs OpenCV"):
        prepare(source, tmp_path / "out", small(crop="face"))
    assert not (tmp_path / "out").exists()


def test_awful_pictures_are_prepared_or_named(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name, content in awful.fine().items():
        (source / name).write_bytes(content)
    for name, (content, _) in awful.broken().items():
        (source / name).write_bytes(content)
    outcome = prepare(source, tmp_path / "out", small(flip=True, split=True, background="white", cut_out="border", crop="edges"))
    assert {problem.path.name: problem.kind for problem in outcome.problems} == {name: kind for name, (_, kind) in awful.broken().items()}
    manifest = json.loads((tmp_path / "out/manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["originals"]) == set(awful.fine()) and str(tmp_path) not in json.dumps(manifest)
    for size in sizes(tmp_path / "out").values():
        assert all(side % 64 == 0 for side in size)


@pytest.mark.parametrize("out, words", [("in", "lies in the folder of originals"), ("in/deep", "lies in the folder of originals"), (".", "lies in the folder for what is made"), ("", '"out" is empty'),
                                        ("file", "is a file"), (os.path.abspath(os.sep), "root of a drive"), ("webui", "the WebUI itself")])
def test_wrong_output_folders(source, tmp_path, out, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "webui/modules").mkdir(parents=True)
    (tmp_path / "webui/webui.py").touch()
    before = contents(tmp_path)
    with pytest.raises(UserError, match=words):
        prepare("in", out, small())
    assert contents(tmp_path) == before


@pytest.mark.parametrize("options, words", [
    ({"background": "nocolour"}, "no colour"), ({"alpha": True, "format": "jpg"}, "png or webp"), ({"replace": ["x"]}, "OLD=NEW"),
    ({"replace_regex": ["(=x"]}, "does not compile"), ({"replace_regex": ["a=\\3"]}, "can't be used"), ({"folder": "a/b"}, "folder's name"),
    ({"folder": ".."}, "folder's name")])
def test_wrong_settings(source, tmp_path, options, words):
    with pytest.raises(UserError, match=words):
        prepare(source, tmp_path / "out", small(**options))
    assert not (tmp_path / "out").exists()


def test_wrong_input_folders_and_manifests(source, tmp_path):
    (tmp_path / "bare").mkdir()
    for name in ("gone", "bare", "", "in/a.png"):
        with pytest.raises(UserError):
            prepare(tmp_path / name if name else "", tmp_path / "out", small())
    (tmp_path / "out").mkdir(exist_ok=True)
    for damage in ("{", "[]", '{"format": "other"}', '{"format": "sd-tune-prepare-1", "settings": {}, "originals": {"a.png": {}}}'):
        (tmp_path / "out/manifest.json").write_text(damage)
        with pytest.raises(UserError, match="manifest"):
            prepare(source, tmp_path / "out", small())


# names

def prepared_from(tmp_path, names, **options):
    """{file in the output: the original that it was made from}, where every original has a colour of its own."""
    source, out = tmp_path / "in", tmp_path / "out"
    for number, name in enumerate(names):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        size = (900, 300) if options.get("split") and name.startswith("long") else (128, 128)
        Image.new("RGB", size, (10 + 20 * number, 0, 0)).save(source / name)
        (source / name).with_suffix(".txt").write_text(name)
    outcome = prepare(source, out, small(**options))
    assert not outcome.problems and prepare(source, out, small(**options)).written == []
    files = {path.relative_to(out).as_posix(): path for path in sorted(out.rglob("*.png")) if path.is_file()}
    return {name: names[round((Image.open(path).getpixel((64, 64))[0] - 10) / 20)] for name, path in files.items()}


@pytest.mark.parametrize("names, options, count", [
    (["a.png", "a-flip.png"], {"flip": True}, 4), (["A-FLIP.png", "a.png", "a.bmp"], {"flip": True}, 6),
    (["long.png", "long-1.png", "long-2.png", "long-1-flip.png"], {"split": True, "flip": True}, 32),
    (["x/a.png", "y/a.png", "z/a.png", "a-2.png"], {"folder": "10_ron", "split": True}, 4),
    (["a.bmp", "a.png/b.png"], {}, 2), (["a-flip.png", "a-flip-flip.png", "a.png"], {"flip": True}, 6)])
def test_names_that_are_made_meet_no_other_name(tmp_path, names, options, count):
    original_by_file = prepared_from(tmp_path, names, **options)
    assert len(original_by_file) == count and set(original_by_file.values()) == set(names)
    for file, original in original_by_file.items():
        assert Path((tmp_path / "out" / file).with_suffix(".txt").read_text().strip()).stem == Path(original).stem


def test_no_caption_is_written_beside_somebody_elses_picture(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    awful.scene().save(source / "a.png")
    (source / "a.txt").write_text("ours")
    awful.scene(seed=3).save(out / "a.png")
    outcome = prepare(source, out, small())
    assert [problem.kind for problem in outcome.problems] == ["left alone"] and not (out / "a.txt").exists()


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (out / "a.png").mkdir(parents=True)
    awful.scene().save(source / "a.png")
    outcome = prepare(source, out, small())
    assert outcome.written == [] and "is a folder" in outcome.problems[0].text
