import json

import numpy as np
import pytest
from PIL import Image, ImageFilter

from lib_sdtune.config import Config
from lib_sdtune.data import inspect
from lib_sdtune.data.appearance import BLURRED, appearance_of, duplicates, sharpness
from lib_sdtune.data.loader import Dataset
from lib_sdtune.data.scan import scan
from lib_sdtune.errors import UserError
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sections.dataset import DatasetConfig
from lib_sdtune.sections.loss import LossConfig
from tests.data import awful


def fill(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def photo(seed, size=(640, 480)):
    """Something with texture at every scale, different for every seed."""
    chance = np.random.default_rng(seed)
    image = Image.new("RGB", size)
    for cells in (256, 64, 16, 4):
        values = Image.fromarray(chance.integers(0, 255, (cells, cells, 3), np.uint8)).resize(size, Image.Resampling.NEAREST)
        image = Image.blend(image, values, 0.4)
    return image


def kinds(report, name):
    return sorted(problem["kind"] for problem in report["problems"] if problem["path"] == name)


def test_the_report_of_an_awful_folder_names_everything(tmp_path):
    pics = fill(tmp_path / "5_ron", awful.fine() | {name: content for name, (content, _) in awful.broken().items()})
    fill(pics, {"plain.txt": b"ron, a cat, ron", "orphan.txt": b"x", "print.txt": "caf\xe9".encode("latin-1"), "bits.txt": b""})
    photo(1).save(pics / "one.png")
    photo(1).resize((320, 240)).save(pics / "one again.jpg", quality=60)
    photo(2).filter(ImageFilter.GaussianBlur(4)).save(pics / "soft.png")
    photo(3).save(pics / "soft.jpg")
    result = inspect.inspect(pics, tokenizer=lambda text: text.split())
    json.dumps(result)
    assert result["images"] == len(awful.fine()) + 4 and result["captions"] == 2
    assert sum(result["buckets"].values()) == result["images"] == len(result["pictures"])
    assert result["folders"] == {"5_ron": {"images": result["images"], "repeats": 5, "is_class": False}}
    assert result["tags"]["ron"] >= 1 and result["tags"]["a cat"] == 1
    for name, (_, kind) in awful.broken().items():
        assert kinds(result, name) == [kind]
    assert "duplicate" in kinds(result, "one.png") + kinds(result, "one again.jpg")
    assert "name clash" in kinds(result, "soft.jpg") + kinds(result, "soft.png")
    assert "blurred" in kinds(result, "soft.png") and "blurred" not in kinds(result, "one.png")
    assert kinds(result, "orphan.txt") == ["caption orphan"] and kinds(result, "print.txt") == ["caption not UTF-8"]
    assert kinds(result, "bits.txt") == ["caption empty"]
    assert "extreme aspect" in kinds(result, "wide.png") and "too small" in kinds(result, "dot.png")
    assert str(tmp_path) not in json.dumps(result["problems"] + result["pictures"])
    assert "steps an epoch" in " ".join(result["summary"])


def test_a_folder_of_nothing_but_broken_pictures_still_gets_a_report(tmp_path):
    fill(tmp_path / "bad", {"a.png": b"", "b.png": b"no"})
    result = inspect.inspect(tmp_path / "bad")
    assert result["images"] == 0 and len(result["problems"]) == 2


def test_what_is_no_data_set_is_refused(tmp_path):
    for name in ("gone", "bare"):
        (tmp_path / "bare").mkdir(exist_ok=True)
        with pytest.raises(UserError):
            inspect.inspect(tmp_path / name)


def test_missing_and_long_captions(tmp_path):
    fill(tmp_path / "pics", {"001.png": awful.data(awful.scene(600, 600)), "a.png": awful.data(photo(1)), "a.txt": b"x " * 80})
    result = inspect.inspect(tmp_path / "pics", tokenizer=str.split)
    assert kinds(result, "001.png") == ["caption missing"] and "without words" in result["problems"][0]["text"]
    assert kinds(result, "a.png") == ["caption long"] and "about 80" in result["problems"][1]["text"]


def test_doubles_are_found_through_scaling_and_compression_only():
    base, other = photo(1), photo(2)
    darker = base.point(lambda value: value // 3)
    appearances = [appearance_of(image) for image in (base, other, base.resize((200, 150)), base.crop((200, 100, 640, 480)), darker)]
    assert duplicates(appearances) == [(2, 0)]
    assert duplicates([]) == [] and duplicates(appearances * 300)[-1] == (1499, 4)


def test_plain_pictures_of_different_colour_are_no_duplicates():
    appearances = [appearance_of(Image.new("RGB", (64, 64), colour)) for colour in ("red", "blue", "red")]
    assert duplicates(appearances) == [(2, 0)]


@pytest.mark.parametrize("contrast", [1.0, 0.6])
def test_blur_is_seen_at_any_contrast(contrast):
    flat = Image.new("RGB", (512, 512), (90, 160, 200))
    flat.paste((220, 40, 40), (100, 100, 300, 300))
    for image in (photo(1), flat):
        image = image.point(lambda value: 100 + int((value - 100) * contrast))
        assert sharpness(image) > BLURRED * 1.5
        assert sharpness(image.filter(ImageFilter.GaussianBlur(3))) < BLURRED


def test_the_arithmetic_in_words(tmp_path):
    fill(tmp_path / "10_ron", {f"{n}.png": awful.data(awful.scene(seed=n)) for n in range(4)})
    fill(tmp_path / "reg", {f"{n}.png": awful.data(awful.scene(seed=n)) for n in range(3)})
    config = Config(name="x", concepts=[Concept(str(tmp_path / "10_ron"), class_images=str(tmp_path / "reg"))])
    config.train.batch_size = 2
    data = Dataset(scan(config.concepts, config.dataset, config.loss, tmp_path), config)
    assert inspect.arithmetic(data, config) == (
        "4 pictures x 10 repeats + 40 class pictures / batch 2 = 40 steps an epoch; 1,500 steps = 37.5 epochs.")


def test_final_captions_are_those_of_the_steps(tmp_path):
    fill(tmp_path / "pics", {f"{n}.png": awful.data(awful.scene(seed=n)) for n in range(3)})
    fill(tmp_path / "pics", {f"{n}.txt": b"a, b, c, d, e" for n in range(3)})
    config = Config(name="x", concepts=[Concept(str(tmp_path / "pics"))], dataset=DatasetConfig(shuffle_caption=True))
    data = Dataset(scan(config.concepts, config.dataset, LossConfig(), tmp_path), config)
    rows = inspect.finals(data, str.split)
    assert [row["caption"] for row in rows] == [data.examples(step)[0].caption for step in range(3)]
    assert all(row["tokens"] == 5 and sorted(row["caption"]) == sorted("a, b, c, d, e") for row in rows)
