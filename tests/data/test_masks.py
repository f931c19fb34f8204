"""Masks beside pictures: which part of a picture an inpainting model shall learn to fill in."""

from dataclasses import replace

import pytest
import torch
from PIL import Image, ImageDraw

from lib_sdtune.config import Config
from lib_sdtune.data.cache import LatentCache
from lib_sdtune.data.inpainting_masks import HOLES, InpaintingCache, every_hole
from lib_sdtune.data.inspect import findings
from lib_sdtune.data.loader import Dataset
from lib_sdtune.data.scan import scan
from lib_sdtune.errors import UserError
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sections.dataset import DatasetConfig
from lib_sdtune.sections.loss import LossConfig
from lib_sdtune.training.parallel import World
from lib_sdtune.training.resume_checks import data_fingerprint
from lib_sdtune.training.training_data import TrainingData
from tests import models
from tests.hosts import settings, train


def scanned(folder):
    return scan([Concept(images=str(folder))], DatasetConfig(), LossConfig(), folder)


def mask_image(size=(128, 128), box=(0, 0, 31, 63), mode="L"):
    image = Image.new(mode, size, 0)
    ImageDraw.Draw(image).rectangle(box, fill="white")
    return image


@pytest.mark.parametrize("name", ["0.mask.png", "0-masklabel.png"])
def test_a_mask_belongs_to_its_picture_and_is_none_itself(images, name):
    before = data_fingerprint(scanned(images))
    mask_image().save(images / name)
    result = scanned(images)
    assert [picture.relative for picture in result.pictures] == ["0.png", "1.png", "2.png"] and not result.problems
    assert [bool(picture.mask) for picture in result.pictures] == [True, False, False]
    first = result.pictures[0].mask.content
    assert data_fingerprint(result)["pictures"] != before["pictures"]
    mask_image(box=(0, 0, 63, 63)).save(images / name)
    assert scanned(images).pictures[0].mask.content != first


@pytest.mark.parametrize(("name", "mask", "words"), [
    ("0.mask.png", mask_image((64, 128)), "0.mask.png is 64 × 128 pixels and its picture 128 × 128; it is not used. Save it in the"),
    ("9.mask.png", mask_image(), "The mask 9.mask.png has no picture of that name"),
    ("0.mask.png", None, "0.mask.png is truncated"),
])
def test_a_mask_that_cannot_be_used_is_told_and_the_picture_stays(images, name, mask, words):
    if mask is None:
        (images / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    else:
        mask.save(images / name)
    result = scanned(images)
    assert len(result.pictures) == 3 and not any(picture.mask for picture in result.pictures)
    (problem,) = result.problems
    assert words in problem.text and problem.fatal, "a file that is not used"


def cache_of(images):
    config = Config(name="ron", concepts=[Concept(images=str(images))], dataset=DatasetConfig(resolution=128, flip_aug=True))
    dataset = Dataset(scanned(images), config)
    cache = InpaintingCache(None, lambda pixels: (pixels[:, :, ::8, ::8].repeat(1, 2, 1, 1)[:, :4],) * 2, "key")
    return cache, dataset


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_every_second_hole_is_the_users_scaled_and_mirrored_with_the_picture(images, mode):
    mask_image(mode=mode, box=(0, 0, 28, 63)).save(images / "0.mask.png")  # not at a border of latents
    cache, dataset = cache_of(images)
    example = replace(dataset.example(0, 0), flip=False)
    expected = torch.zeros(1, 16, 16)
    expected[:, :8, :4] = 1
    assert torch.equal(cache.concat(example)[:1], expected)
    assert torch.equal(cache.concat(replace(example, flip=True))[:1], expected.flip(2))
    assert torch.equal(cache.concat(replace(example, occurrence=2))[:1], expected)
    assert not torch.equal(cache.concat(replace(example, occurrence=1))[:1], expected)
    assert cache.concat(example)[1:, :8, :4].count_nonzero() == 0  # nothing of what is missing is told
    names = {cache.name(shown) for shown in every_hole([example])}
    assert len(names) == HOLES + 1 == len(list(every_hole([example])))
    assert names == {cache.name(replace(example, occurrence=number)) for number in range(20)}


@pytest.mark.parametrize("variant", ["inpainting", "v"])
def test_a_mask_for_a_model_that_does_not_inpaint_is_told(tmp_path, images, caplog, variant):
    mask_image().save(images / "0.mask.png")
    config = Config.from_dict(settings(images, dataset={"cache_latents": False}))
    model = models.tiny_sd1(variant=models.VARIANTS[variant])
    with TrainingData(config, model, tmp_path / "runs" / "ron", lambda *_: None, World()) as data:
        assert data.scan.pictures[0].mask
    assert ("no inpainting model" in caplog.text) is (variant == "v")


def test_only_what_is_white_beside_a_picture_counts_where_that_is_asked_for(images):
    """A mask white on an eighth of each side's first blocks; a picture without one counts everywhere."""
    mask_image(box=(0, 0, 31, 63)).save(images / "0.mask.png")
    config = Config(name="ron", concepts=[Concept(images=str(images))], dataset=DatasetConfig(resolution=128))
    dataset = Dataset(scanned(images), config)

    def encode(pixels):
        return (pixels[:, :, ::8, ::8].repeat(1, 2, 1, 1)[:, :4],) * 2

    cache = LatentCache(None, encode, "key", mask_files=True)
    expected = torch.zeros(1, 16, 16)
    expected[:, :8, :4] = 1
    assert torch.equal(cache.mask(dataset.example(0, 0)), expected) and cache.mask(dataset.example(1, 0)) is None
    both = LatentCache(None, encode, "key", masks=True, mask_files=True)
    assert torch.equal(both.mask(dataset.example(0, 0)), expected) and both.mask(dataset.example(1, 0)).min() == 1
    names = [cache.name(dataset.example(0, 0))]
    mask_image().transpose(Image.Transpose.ROTATE_180).save(images / "0.mask.png")
    assert cache.name(Dataset(scanned(images), config).example(0, 0)) not in names


def test_a_masked_loss_without_masks_is_refused(images, host):
    with pytest.raises(UserError, match='"dataset.masked_loss" is on, and beside no picture lies a mask'):
        train(host, settings(images, dataset={"masked_loss": True}))


def test_a_run_learns_with_masks(images, host):
    mask_image().save(images / "0.mask.png")
    assert train(host, settings(images, dataset={"masked_loss": True}, train={"max_train_steps": 3})).state == "finished"


def black(images, *names):
    for name in names:
        Image.new("L", (128, 128), 0).save(images / f"{name}.mask.png")


def test_masks_that_do_nothing_are_named(images, host, caplog):
    mask_image().save(images / "0.mask.png")
    black(images, "1")
    control = train(host, settings(images, dataset={"masked_loss": True, "alpha_mask": True}, train={"max_train_steps": 2}))
    assert control.state == "finished"
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [sum(words in line and name in line for line in warnings) for words, name in
            (("black all over", "1.png"), ("have no mask", "2.png"), ("dataset.alpha_mask", "transparent"))] == [1, 1, 1]
    config = Config(name="ron", concepts=[Concept(images=str(images))], dataset=DatasetConfig(masked_loss=True))
    assert {problem.kind for problem in findings(scanned(images), config)} >= {"mask black", "no mask"}
    assert not {problem.kind for problem in findings(scanned(images), replace(config, dataset=DatasetConfig()))} & {"mask black", "no mask"}


def test_masks_that_are_all_black_are_refused(images, host):
    black(images, "0", "1", "2")
    with pytest.raises(UserError, match="every mask is black all over"):
        train(host, settings(images, dataset={"masked_loss": True}))


def with_mask_folder(images, masks, **more):
    concept = Concept(images=str(images), conditioning_data_dir=str(masks), **more)
    return scan([concept], DatasetConfig(), LossConfig(), images)


def test_masks_lie_in_a_folder_of_their_own(images, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    mask_image().save(masks / "0.png")
    mask_image((64, 128)).save(masks / "1.jpg")
    mask_image().save(masks / "9.png")
    mask_image().save(images / "2.mask.png")
    mask_image().save(images / "0.mask.png")
    result = with_mask_folder(images, masks)
    assert [picture.mask and picture.mask.path for picture in result.pictures] == [
        masks / "0.png", None, images / "2.mask.png"]
    texts = [problem.text for problem in result.problems]
    assert any("1.jpg is 64 × 128 pixels" in text for text in texts)
    assert any("9.png has no picture of that name" in text for text in texts) and len(texts) == 2
    (masks / "1.jpg").unlink()
    (images / "2.mask.png").unlink()
    sentences = [problem.text for problem in with_mask_folder(images, masks).problems]
    assert "There is no mask in masks for 1.png, 2.png." in sentences


def test_a_folder_of_masks_may_lie_among_the_pictures_and_follow_their_folders(tmp_path):
    for place in ("10_ron", "10_ron/masks", "5_cup", "10_ron/masks/5_cup"):
        (tmp_path / "all" / place).mkdir(parents=True)
        mask_image().save(tmp_path / "all" / place / "0.png")
    result = with_mask_folder(tmp_path / "all", tmp_path / "all/10_ron/masks")
    places = [picture.mask.path.relative_to(tmp_path / "all/10_ron/masks").as_posix() for picture in result.pictures]
    assert [picture.relative for picture in result.pictures] == ["5_cup/0.png", "10_ron/0.png"]
    assert places == ["5_cup/0.png", "0.png"] and not result.problems


def test_a_dataset_toml_names_the_masks_of_each_folder(images, tmp_path):
    (tmp_path / "masks").mkdir()
    for number in range(3):
        mask_image().save(tmp_path / "masks" / f"{number}.png")
    toml = tmp_path / "data.toml"
    toml.write_text(f'[[datasets]]\n[[datasets.subsets]]\nimage_dir = "{images.as_posix()}"\n'
                    'conditioning_data_dir = "masks"\n', encoding="utf-8")
    result = scan([Concept(images=str(toml))], DatasetConfig(), LossConfig(), tmp_path)
    assert [picture.mask.path.name for picture in result.pictures] == ["0.png", "1.png", "2.png"]
    assert not [problem.text for problem in result.problems if "conditioning_data_dir" in problem.text]


@pytest.mark.parametrize(("masks", "words"), [("nowhere", "there is no folder"), (".", "the folder of the pictures themselves")])
def test_a_folder_that_holds_no_masks_is_refused(images, masks, words):
    with pytest.raises(UserError, match=words):
        with_mask_folder(images, images / masks)
