import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from lib_sdtune.data import picture, pixels
from lib_sdtune.data.buckets import cover
from lib_sdtune.data.example import Example
from tests.data import awful


def saved(tmp_path, content, name="a.png"):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def example(image, size, crop=None, flip=False):
    scaled = cover(image.size, size)
    crop = crop or ((scaled[0] - size[0]) // 2, (scaled[1] - size[1]) // 2)
    return Example(None, 0, 0, "", size, crop, flip, 1.0, scaled)


def test_a_huge_picture_of_nothing_is_not_decoded(tmp_path, monkeypatch):
    path = saved(tmp_path, awful.data(Image.new("1", (11_000, 11_000))))
    monkeypatch.setattr(picture, "decoded", None)
    with pytest.raises(picture.Unreadable, match="121 million pixels in .* bytes, so there is hardly anything in it"):
        picture.examine(path)


@pytest.mark.parametrize("name", sorted(awful.fine()))
def test_everything_becomes_rgb_of_the_size_that_was_announced(tmp_path, name):
    path = saved(tmp_path, awful.fine()[name], name)
    facts = picture.examine(path)
    image, alpha = picture.load(path, facts.content)
    assert image.mode == "RGB" and image.size == (facts.width, facts.height)
    assert (alpha is not None) == facts.has_alpha == (name in ("palette.png", "grey alpha.png", "clear.png"))


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_rotation(tmp_path, turn):
    image = awful.scene(80, 40)
    path = saved(tmp_path, awful.data(image, "JPEG", exif=awful.exif(turn), quality=95), "a.jpg")
    upright = ImageOps.exif_transpose(Image.open(path))
    assert np.array_equal(np.array(picture.load(path)[0]), np.array(upright))


@pytest.mark.parametrize("tags", [b"Exif\0\0broken", awful.exif(0), awful.exif(9)])
def test_a_rotation_that_nobody_can_read_turns_and_mirrors_nothing(tmp_path, tags):
    image = awful.scene(80, 40)
    plain, odd = (saved(tmp_path, awful.data(image, "JPEG", quality=95, **how), name)
                  for name, how in (("plain.jpg", {}), ("odd.jpg", {"exif": tags})))
    assert np.array_equal(np.array(picture.load(odd)[0]), np.array(picture.load(plain)[0]))


def test_sixteen_bits_are_scaled_not_cut_off(tmp_path):
    image, _ = picture.load(saved(tmp_path, awful.data(awful.grey16())))
    row = np.array(image)[0, :, 0]
    assert row[0] == 0 and row[-1] == 255 and abs(int(row[24]) - 130) < 3


def test_transparency_is_shown_on_white(tmp_path):
    image, alpha = picture.load(saved(tmp_path, awful.data(awful.rgba())))
    assert image.getpixel((5, 5)) == (255, 255, 255) and alpha.getpixel((5, 5)) == 0
    assert image.getpixel((60, 5)) != (255, 255, 255) and alpha.getpixel((60, 5)) == 255


def test_a_changed_file_is_noticed(tmp_path):
    path = saved(tmp_path, awful.data(awful.scene()))
    content = picture.examine(path).content
    saved(tmp_path, awful.data(awful.scene(seed=9)))
    with pytest.raises(picture.Unreadable, match="changed"):
        picture.load(path, content)


def test_pixels_range_shape_and_mirror():
    image = awful.scene(100, 60)
    straight = pixels.pixels(image, example(image, (64, 32)))
    mirrored = pixels.pixels(image, example(image, (64, 32), flip=True))
    assert straight.shape == (3, 32, 64) and straight.dtype == torch.float32
    assert straight.min() >= -1 and straight.max() <= 1
    assert torch.equal(straight.flip(2), mirrored)
    white = Image.new("RGB", (64, 64), (255, 255, 255))
    assert pixels.pixels(white, example(white, (64, 64))).eq(1).all()


def test_an_unscaled_crop_is_the_picture_to_the_bit():
    image = awful.scene(100, 60)
    example = Example(None, 0, 0, "", (64, 32), (7, 11), False, 1.0, (100, 60))
    assert np.array_equal(np.array(pixels.frame(image, example)), np.array(image)[11:43, 7:71])


def test_the_crop_shows_the_asked_part():
    image = awful.scene(256, 64)
    whole = np.array(image.resize((128, 32), Image.Resampling.LANCZOS)).astype(int)
    part = np.array(pixels.frame(image, Example(None, 0, 0, "", (32, 32), (64, 0), False, 1.0, (128, 32)))).astype(int)
    assert np.abs(part - whole[:, 64:96])[:, 2:-2].max() <= 1


def test_an_absurd_shape_costs_no_memory():
    image = Image.new("RGB", (1, 60000))
    assert pixels.pixels(image, example(image, (256, 1024))).shape == (3, 1024, 256)


def test_masks_follow_the_picture_also_when_it_is_not_square():
    alpha = Image.new("L", (128, 64), 0)
    alpha.paste(255, (96, 0, 128, 64))  # the right quarter counts
    example = Example(None, 0, 0, "", (128, 64), (0, 0), False, 1.0, (128, 64))
    mask = pixels.mask(alpha, example)
    assert mask.shape == (1, 8, 16)
    assert mask[0, :, :12].eq(0).all() and mask[0, :, 12:].eq(1).all()
    mirrored = pixels.mask(alpha, Example(None, 0, 0, "", (128, 64), (0, 0), True, 1.0, (128, 64)))
    assert torch.equal(mask.flip(2), mirrored)


def test_masks_of_opaque_and_of_empty_pictures_are_all_ones():
    example = Example(None, 0, 0, "", (128, 64), (0, 0), False, 1.0, (128, 64))
    for alpha in (None, Image.new("L", (128, 64), 255), Image.new("L", (128, 64), 0)):
        assert pixels.mask(alpha, example).eq(1).all()


@pytest.mark.parametrize("name, data", [("a.avif", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1"), ("a.jxl", b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 20),
                                        ("bare.jxl", b"\xff\x0a" + b"\0" * 20)])
@pytest.mark.parametrize("known", [False, True])
def test_kinds_that_pillow_may_not_know_are_named(tmp_path, monkeypatch, name, data, known):
    kind = name.rpartition(".")[2].upper()
    Image.init()
    others = {other: opener for other, opener in Image.OPEN.items() if other != kind}
    monkeypatch.setattr(Image, "OPEN", others | ({kind: (lambda *arguments: 1 / 0, lambda prefix: True)} if known else {}))
    monkeypatch.setattr(Image, "ID", list(Image.OPEN))
    (tmp_path / name).write_bytes(data)
    with pytest.raises(picture.Unreadable) as caught:
        picture.examine(tmp_path / name)
    shown = "AVIF" if kind == "AVIF" else "JPEG XL"
    assert (f"a damaged {shown}" if known else f"{shown}, which the Pillow here does not know") in str(caught.value)
    assert "save it again as PNG or JPEG" in str(caught.value)
