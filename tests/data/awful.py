"""Pictures that a data set may hold although nobody wants them, made on the spot."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image


def scene(width=80, height=64, seed=0):
    """A picture with structure in it: a gradient and a few blocks."""
    chance = np.random.default_rng(seed)
    across, down = np.meshgrid(np.linspace(0, 160, width), np.linspace(0, 90, height))
    values = np.stack([across, down, 160 - across], -1)
    for _ in range(6):
        left, top = int(chance.integers(0, max(1, width - 12))), int(chance.integers(0, max(1, height - 12)))
        values[top : top + 12, left : left + 12] = chance.integers(0, 255, 3)
    return Image.fromarray(values.astype(np.uint8))


def noise(width=120, height=120):
    """A picture that no format can make small."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))


def data(image, kind="PNG", **options):
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def bomb():
    """A PNG of a few hundred bytes that claims 60,000 x 60,000 pixels."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def grey16(width=48, height=48):
    ramp = np.tile(np.linspace(0, 65535, width).astype(np.uint16), (height, 1))
    return Image.fromarray(ramp)


def exif(turn):
    tags = Image.Exif()
    tags[0x0112] = turn
    return tags


def rgba(width=64, height=64, clear=True):
    image = scene(width, height).convert("RGBA")
    if clear:
        image.paste((200, 0, 0, 0), (0, 0, width // 2, height))
    return image


def palette():
    image = scene().quantize(16)
    image.info["transparency"] = 0
    return data(image, transparency=0)


def animated():
    return data(scene(), "GIF", save_all=True, append_images=[scene(seed=1), scene(seed=2)])


def fine():
    """name -> bytes of pictures that are usable whatever they look like."""
    return {
        "plain.png": data(scene()),
        "photo.jpg": data(scene(), "JPEG"),
        "rotated.jpg": data(scene(80, 40), "JPEG", exif=exif(6)),
        "print.jpg": data(scene().convert("CMYK"), "JPEG"),
        "palette.png": palette(),
        "grey.png": data(scene().convert("L")),
        "grey alpha.png": data(rgba().convert("LA")),
        "bits.png": data(scene().convert("1")),
        "sixteen.png": data(grey16()),
        "clear.png": data(rgba()),
        "opaque.png": data(rgba(clear=False)),
        "moves.gif": animated(),
        "modern.webp": data(scene(), "WEBP"),
        "old.bmp": data(scene(), "BMP"),
        "liar.png": data(scene(), "JPEG"),
        "UPPER.PNG": data(scene(seed=3)),
        "wide.png": data(scene(2000, 25)),
        "dot.png": data(scene(1, 1)),
        "日本語 é (1).png": data(scene(seed=4)),
        "🦊.png": data(scene(seed=5)),
        "no exif.jpg": data(scene(), "JPEG", exif=b"Exif\0\0broken"),
    }


def oddly_named():
    """name -> bytes of pictures whose names do not say that they are."""
    names = ["a.jfif", "b.jpe", "c.pjpeg", "d.jif", "e.jpg_large", "f", "g.apng", "h.tif", "i.tiff", "j.jp2", "k.tga", "l.webp~"]
    kinds = ["JPEG"] * 6 + ["PNG", "TIFF", "TIFF", "JPEG2000", "TGA", "WEBP"]
    return {name: data(scene(seed=seed), kind) for seed, (name, kind) in enumerate(zip(names, kinds, strict=True))}


def broken():
    """name -> (bytes, the word that its problem is filed under)."""
    return {
        "nothing.png": (b"", "empty"),
        "half.jpg": (data(noise(), "JPEG")[:3000], "truncated"),
        "half.png": (data(noise())[:9000], "truncated"),
        "half.webp": (data(noise(), "WEBP")[:900], "truncated"),
        "bomb.png": (bomb(), "too large"),
        "words.png": (b"this is no picture", "not a picture"),
        "page.jpg": (b"<!DOCTYPE html><html></html>", "not a picture"),
        "layers.png": (b"8BPS\0\1" + b"\0" * 40, "not a picture"),
        "garbage.png": (data(noise())[:200] + b"\xff" * 2000 + data(noise())[2200:], "damaged"),
    }
