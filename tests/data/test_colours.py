"""Colours of pictures with a profile are those that a viewer shows."""

import struct
from io import BytesIO

import numpy as np
import PIL
import pytest
from PIL import Image, ImageCms

from lib_sdtune.data import colours, picture
from lib_sdtune.data.prepare import PrepareConfig, prepare
from tests.data import awful

P3 = (0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def fixed(value):
    return struct.pack(">i", round(value * 65536))


def profile(primaries=P3, gamma=2.2, space=b"RGB "):
    """An ICC profile with a gamma curve; `primaries` are D50 XYZ of red, green and blue."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    name = b"Wide enough\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + b"\0" * 78
    tags = [(b"desc", description + b"\0" * (-len(description) % 4)), (b"wtpt", xyz((0.9642, 1, 0.8249)))]
    if space == b"GRAY":
        tags.append((b"kTRC", curve))
    else:
        tags += [(letter + b"XYZ", xyz(value)) for letter, value in zip((b"r", b"g", b"b"), primaries, strict=True)]
        tags += [(letter + b"TRC", curve) for letter in (b"r", b"g", b"b")]
    offset, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for key, value in tags:
        table += key + struct.pack(">II", offset + len(body), len(value))
        body += value
    head = struct.pack(">I", offset + len(body)) + b"\0\0\0\0\x02\x20\0\0mntr" + space + b"XYZ "
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + b"".join(map(fixed, (0.9642, 1, 0.8249)))
    return head + b"\0" * (128 - len(head)) + table + body


def xyz(values):
    return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))


def shown(image, icc):
    """What a viewer shows."""
    return ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(BytesIO(icc)), ImageCms.createProfile("sRGB"), outputMode="RGB")


def saved(path, image, kind="PNG", **options):
    path.write_bytes(awful.data(image, kind, **options))
    return path


@pytest.mark.parametrize("kind, options", [("PNG", {}), ("TIFF", {}), ("JPEG", {"quality": 98, "subsampling": 0}), ("WEBP", {"lossless": True})])
def test_a_wide_profile_is_converted_and_told(tmp_path, kind, options):
    red = Image.new("RGB", (64, 64), (220, 40, 40))
    path = saved(tmp_path / "red.png", red, kind, icc_profile=profile(), **options)
    image, _ = picture.load(path)
    assert np.abs(np.array(image).astype(int) - np.array(shown(red, profile())).astype(int)).max() <= 4
    assert image.getpixel((5, 5))[0] > 230 and "icc_profile" not in image.info
    notes = dict(picture.examine(path).notes)
    assert "Wide enough" in notes["colour profile"] and "sRGB" in notes["colour profile"]


@pytest.mark.parametrize("icc", [SRGB, None])
def test_srgb_stays_to_the_bit_and_needs_no_word(tmp_path, icc):
    path = saved(tmp_path / "a.png", awful.scene(), icc_profile=icc)
    assert np.array_equal(np.array(picture.load(path)[0]), np.array(awful.scene()))
    assert not picture.examine(path).notes


@pytest.mark.parametrize("icc", [b"nothing", profile()[:200], profile(space=b"GRAY")])
def test_a_profile_that_cannot_be_used_costs_no_picture(tmp_path, icc):
    path = saved(tmp_path / "a.png", awful.scene(), icc_profile=icc)
    assert np.array_equal(np.array(picture.load(path)[0]), np.array(awful.scene()))
    assert "taken as sRGB" in dict(picture.examine(path).notes)["colour profile"]


def test_transparency_stays_beside_a_profile(tmp_path):
    image, alpha = picture.load(saved(tmp_path / "a.png", awful.rgba(), icc_profile=profile()))
    assert alpha.getpixel((5, 5)) == 0 and image.getpixel((5, 5)) == (255, 255, 255)
    flat = awful.rgba().convert("RGB")
    assert image.getpixel((50, 5)) == shown(flat, profile()).getpixel((50, 5)) != flat.getpixel((50, 5))


def test_greys_go_through_their_own_profile_or_through_that_of_colours(tmp_path):
    grey = awful.scene().convert("L")
    dark, _ = picture.load(saved(tmp_path / "a.png", grey, icc_profile=profile(gamma=1.0, space=b"GRAY")))
    assert np.array(dark).mean() > np.array(grey).mean() + 20
    wide, _ = picture.load(saved(tmp_path / "b.png", grey, icc_profile=profile()))
    assert np.abs(np.array(wide)[..., 0].astype(int) - np.array(grey)).max() < 12


@pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 10, reason="Pillow 9 does not write the transparent colour of 16-bit greys")
def test_sixteen_bit_greys_keep_their_transparent_colour(tmp_path):
    path = tmp_path / "a.png"
    grey = awful.grey16()
    path.write_bytes(awful.data(grey, transparency=0))
    image, alpha = picture.load(path)
    assert alpha is not None and alpha.getpixel((0, 0)) == 0 and alpha.getpixel((40, 0)) == 255
    assert image.getpixel((0, 0)) == (255, 255, 255)


def test_fractions_of_a_tiff_are_no_black_picture(tmp_path):
    values = Image.fromarray(np.tile(np.linspace(0, 1, 48, dtype=np.float32), (48, 1)))
    image, _ = picture.load(saved(tmp_path / "a.tif", values, "TIFF"))
    assert image.getpixel((47, 0)) == (255, 255, 255) and abs(image.getpixel((24, 0))[0] - 130) < 3


SLOPE = np.tile(np.linspace(0, 1, 64), (64, 1))
UNSIGNED = b"\x53\x01\x03\x00\x01\x00\x00\x00"  # TIFF's tag SampleFormat before its value: Pillow writes 2, signed integers


@pytest.mark.parametrize(("values", "brightest"), [
    (SLOPE.astype(np.float32), 255), ((0.3 * SLOPE).astype(np.float32), 77), ((1.4 * SLOPE - 0.1).astype(np.float32), 255),
    ((255 * SLOPE).astype(np.float32), 255), ((100 * SLOPE).astype(np.float32), 100), ((65535 * SLOPE).astype(np.float32), 255),
    ((255 * SLOPE).astype(np.int32), 255), ((100 * SLOPE).astype(np.int32), 100), ((65535 * SLOPE).astype(np.int32), 255),
    ((2**24 * SLOPE).astype(np.int32), 255), (((2**32 - 1) * SLOPE).astype(np.uint32), 255), ((65535 * SLOPE - 32768).astype(np.int32), 255)],
    ids=lambda values: f"{values.dtype} to {values.max():g}" if isinstance(values, np.ndarray) else "")
def test_a_tiff_of_32_bits_keeps_its_greys(tmp_path, values, brightest):
    data = awful.data(Image.fromarray(values.view(np.int32) if values.dtype == np.uint32 else values), "TIFF")
    if values.dtype == np.uint32:
        assert data.count(UNSIGNED + b"\x02") == 1
        data = data.replace(UNSIGNED + b"\x02", UNSIGNED + b"\x01")
    (tmp_path / "a.tif").write_bytes(data)
    greys = np.array(picture.load(tmp_path / "a.tif")[0])[0, :, 0].astype(int)
    assert greys[0] == 0 and abs(greys[-1] - brightest) <= 1 and len(set(greys)) > 50 and all(np.diff(greys) >= 0)
    assert dict(picture.examine(tmp_path / "a.tif").notes)["32 bit"] == (
        "{} has 32 bits a pixel, without a fixed number for white; they are reduced to 8 by the largest of them.")


def test_a_tiff_with_values_that_are_no_numbers_keeps_the_others(tmp_path):
    values = (255 * SLOPE).astype(np.float32)
    values[3, 5], values[4, 5] = np.nan, np.inf
    greys = np.array(picture.load(saved(tmp_path / "a.tif", Image.fromarray(values), "TIFF"))[0])
    assert greys[0, -1, 0] == 255 and greys[0, 32, 0] in range(127, 133)


def test_a_dark_picture_of_16_bits_stays_dark(tmp_path):
    image, _ = picture.load(saved(tmp_path / "a.png", Image.fromarray((200 * SLOPE).astype(np.uint16))))
    assert np.array(image).max() == 1


def test_print_colours_go_through_their_profile(monkeypatch, tmp_path):
    """Few CMYK profiles may be passed on, so one is pretended: what is asked for is what counts."""
    asked = []
    monkeypatch.setattr(colours, "transform_of", lambda icc, mode: asked.append(mode))
    picture.load(saved(tmp_path / "a.jpg", awful.scene().convert("CMYK"), "JPEG", icc_profile=b"print"))
    assert asked == ["CMYK"]


def test_prepared_pictures_are_srgb_without_a_profile(tmp_path):
    (tmp_path / "in").mkdir()
    saved(tmp_path / "in/red.png", Image.new("RGB", (128, 128), (220, 40, 40)), icc_profile=profile())
    prepare(tmp_path / "in", tmp_path / "out", PrepareConfig(resolution=128, resize="square"))
    with Image.open(tmp_path / "out/red.png") as image:
        assert "icc_profile" not in image.info and image.getpixel((5, 5))[0] > 230


def test_without_colour_management_the_picture_is_used_and_that_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(colours, "ImageCms", None)
    colours.transform_of.cache_clear()
    path = saved(tmp_path / "a.png", awful.scene(), icc_profile=profile())
    assert picture.load(path)[0].size == awful.scene().size
    assert "no colour management" in dict(picture.examine(path).notes)["colour profile"]
