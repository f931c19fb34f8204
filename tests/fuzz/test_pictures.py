"""Pictures and captions that nobody means: used or named in one sentence, and nothing in their folder changes."""

import json
import math

from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from lib_sdtune.data.inspect import inspect
from lib_sdtune.data.picture import Unreadable, examine, load
from lib_sdtune.data.scan import scan
from lib_sdtune.errors import UserError
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sections.dataset import DatasetConfig
from lib_sdtune.sections.loss import LossConfig
from tests.data import awful
from tests.fuzz import hostile

KINDS = [("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp"), ("BMP", ".bmp"), ("GIF", ".gif"), ("TIFF", ".tif")]
CAPTIONS = [b"", b"\xff\xfe\x00", b"a cat\0", b"a" * 100_000, b", " * 20_000, "é\u2028ß".encode(), b"\xed\xa0\x80", b"<lora:x:1>", b" " * 30_000,
            b"(" * 3000, b"[filewords] [name]"]


@st.composite
def damaged(draw):
    """(bytes, ending) of a small picture of some kind, mode and EXIF turn, with some bytes changed or its end cut off."""
    kind, ending = draw(st.sampled_from(KINDS))
    mode = draw(st.sampled_from({"JPEG": ["RGB", "L", "CMYK"], "WEBP": ["RGB", "RGBA"], "BMP": ["RGB", "L", "1"]}.get(
        kind, ["RGB", "RGBA", "L", "P", "1", *(["LA"] if kind == "PNG" else [])])))
    image = Image.new("RGBA" if mode == "RGBA" else "RGB", draw(st.tuples(st.integers(1, 70), st.integers(1, 70))), "red").convert(mode)
    tags = {"exif": awful.exif(draw(st.integers(0, 9)))} if kind in ("JPEG", "PNG", "WEBP") else {}
    data = bytearray(awful.data(image, kind, **tags))
    for _ in range(draw(st.integers(0, 5))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    end = draw(st.one_of(st.none(), st.integers(0, len(data))))
    return bytes(data[:end]), draw(st.sampled_from([ending, ending, ".png", ".JPG"]))


def blank(side):
    return awful.data(Image.new("1", (side, side)))


@given(damaged(), st.one_of(st.sampled_from(CAPTIONS), st.binary(max_size=40)))
@example((blank(11_000), ".png"), b"a cat")
@example((awful.bomb(), ".png"), b"a cat")
@example((b"", ".png"), b"")
@example((b"\x89PNG\r\n\x1a\n", ".jpg"), b"\xff")
def test_pictures_and_captions(tmp_path_factory, file, caption):
    folder = tmp_path_factory.mktemp("pictures")
    path = folder / f"0{file[1]}"
    path.write_bytes(file[0])
    (folder / "0.txt").write_bytes(caption)
    before = hostile.tree(folder)
    try:
        facts = examine(path, appearance=True)
        image, alpha = load(path, facts.content)
        assert image.mode == "RGB" and image.size == (facts.width, facts.height) and math.prod(image.size)
        assert alpha is None or alpha.size == image.size
    except Unreadable as error:
        assert hostile.is_sentence(f"0.png {error}.")
    try:
        for problem in scan([Concept(str(folder))], DatasetConfig(), LossConfig(), folder).problems:
            assert hostile.is_sentence(problem.text), problem
    except UserError as error:
        assert hostile.is_sentence(str(error))
    json.dumps(inspect(folder), allow_nan=False).encode()
    assert hostile.tree(folder) == before
