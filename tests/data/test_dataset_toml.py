import pytest

from lib_sdtune.data.scan import check, scan
from lib_sdtune.errors import UserError
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sections.dataset import DatasetConfig
from lib_sdtune.sections.loss import LossConfig
from tests.data import awful

TOML = """
[general]
caption_extension = ".caption"
shuffle_caption = true
keep_tokens = 2

[[datasets]]
resolution = [768, 768]
batch_size = 4

  [[datasets.subsets]]
  image_dir = "ron"
  num_repeats = 10
  class_tokens = "ron cat"
  caption_prefix = "sks"
  keep_tokens = 1
  face_crop_aug_range = "1,2"

  [[datasets.subsets]]
  image_dir = "reg"
  is_reg = true
  class_tokens = "cat"
  caption_extension = ".txt"
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("ron/a", "ron/b", "reg/1", "reg/2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        awful.scene(seed=len(name)).save(tmp_path / f"{name}.png")
    (tmp_path / "ron/a.caption").write_text("on a chair")
    (tmp_path / "reg/1.txt").write_text("a grey cat")
    (tmp_path / "data.toml").write_text(TOML)
    return tmp_path


def test_a_dataset_toml_is_read_as_its_folders(folder):
    result = scan([Concept("data.toml")], DatasetConfig(), LossConfig(prior_loss_weight=0.5), folder)
    assert [(p.path.name, p.repeats, p.caption, p.caption_from, p.is_class, p.weight) for p in result.pictures] == [
        ("a.png", 10, "sks on a chair", "file", False, 1.0), ("b.png", 10, "sks ron cat", "prompt", False, 1.0),
        ("1.png", 1, "a grey cat", "file", True, 0.5), ("2.png", 1, "cat", "prompt", True, 0.5)]
    assert {problem.kind for problem in result.problems} == {"setting resolution", "setting shuffle_caption", "setting keep_tokens",
                                                            "setting face_crop_aug_range"}
    agreeing = DatasetConfig(resolution=768, shuffle_caption=True, keep_tokens=1)
    assert {problem.kind for problem in scan([Concept("data.toml")], agreeing, LossConfig(), folder).problems} <= {
        "setting keep_tokens", "setting face_crop_aug_range"}
    check([Concept("data.toml")], LossConfig(), folder)


@pytest.mark.parametrize("content, words", [
    ("x = [", "not valid TOML"), ("x = 1", "no \\[\\[datasets"), ("[[datasets]]\nx = 1", "no \\[\\[subsets"),
    ("[[datasets]]\n[[datasets.subsets]]\nnum_repeats = 2", "no image_dir"),
    ("[[datasets]]\n[[datasets.subsets]]\nimage_dir = 3", "no image_dir"),
    ('[[datasets]]\n[[datasets.subsets]]\nimage_dir = "ron"\nnum_repeats = 0', "num_repeats"),
    ('[[datasets]]\n[[datasets.subsets]]\nimage_dir = "ron"\ncaption_extension = "../x"', "caption_extension"),
    ('[[datasets]]\n[[datasets.subsets]]\nimage_dir = "gone"', "no folder"),
    ("general = 3\n[[datasets]]\n[[datasets.subsets]]\nx = 1", "general")])
def test_wrong_files(folder, content, words):
    (folder / "data.toml").write_text(content)
    with pytest.raises(UserError, match=words):
        scan([Concept("data.toml")], DatasetConfig(), LossConfig(), folder)


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="no file"):
        scan([Concept("gone.toml")], DatasetConfig(), LossConfig(), tmp_path)


def test_a_template_is_filled_for_a_toml_too(folder):
    (folder / "data.toml").write_text(TOML)
    result = scan([Concept("data.toml", prompt="photo of [name], [filewords]")], DatasetConfig(), LossConfig(), folder)
    assert result.templates == {0: ["photo of [name], [filewords]"]}
    assert {(picture.caption, picture.is_class) for picture in result.pictures} == {
        ("sks on a chair", False), ("sks ron cat", False), ("a grey cat", True), ("cat", True)}
    (folder / "data.toml").write_text(TOML.replace('"ron cat"', '"ron, [filewords]"'))
    with pytest.raises(UserError, match=r"class_tokens.*template"):
        scan([Concept("data.toml")], DatasetConfig(), LossConfig(), folder)
