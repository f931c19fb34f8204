"""WD14 taggers, with a tiny model of the same shape that is made here: it answers how red, green and blue a picture is."""

import sys

import numpy as np
import pytest
from PIL import Image

from lib_sdtune.__main__ import main
from lib_sdtune.data.captioners import registry
from lib_sdtune.data.captioners.wd14 import Tag, chosen, pixels, written
from lib_sdtune.errors import UserError
from tests.hosts import TinyHost

TAGS = "tag_id,name,category,count\n1,general,9,1\n2,blue_sky,0,1\n3,^_^,0,1\n4,red_riding_hood,4,1\n"


class Session:
    """onnxruntime's, of a tagger that answers [how explicit, blue, green, red] from 0 to 1."""

    def __init__(self, path, providers):
        with open(path, "rb") as file:
            if file.read() != b"a tagger":
                raise RuntimeError("no model")

    def get_inputs(self):
        return [type("Input", (), {"name": "input", "shape": ["batch", 8, 8, 3]})]

    def run(self, _, inputs):
        array = inputs["input"]
        assert array.shape == (1, 8, 8, 3) and array.dtype == np.float32
        return [np.concatenate([[[1.0]], array.mean((1, 2)) / 255], axis=1)]


@pytest.fixture
def host(tmp_path, monkeypatch):
    runtime = type(sys)("onnxruntime")
    runtime.InferenceSession, runtime.get_available_providers = Session, lambda: ["CPUExecutionProvider"]
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    return TinyHost(tmp_path)


def put(folder, tags=TAGS, model=b"a tagger"):
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / "selected_tags.csv").write_text(tags, encoding="utf-8")


@pytest.mark.parametrize("place", ["", "wd-vit-v3"])
def test_a_tagger_that_a_person_has_put_there_is_used(host, place):
    put(host.folder("taggers") / place)
    with registry["wd14"](host) as captioner:
        assert captioner.describe(Image.new("RGB", (20, 20), "magenta")) == "red riding hood, blue sky"
        assert captioner.describe(Image.new("RGB", (20, 20), "lime")) == "^_^"
        assert captioner.describe(Image.new("RGB", (20, 2), "black")) == "red riding hood, blue sky, ^_^"  # on white


def test_what_is_missing_is_said_with_its_place(host, monkeypatch):
    with pytest.raises(UserError, match="models/WD14.*model.onnx and selected_tags.csv"):
        registry["wd14"](host).refuse()
    put(host.folder("taggers") / "one")
    registry["wd14"](host).refuse()
    with pytest.raises(UserError, match="'two' is no tagger.*there are: one"):
        registry["wd14"](host, model="two").refuse()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="pip install onnxruntime"):
        registry["wd14"](host).refuse()
    with pytest.raises(UserError, match="pip install onnxruntime"), registry["wd14"](host):
        pass


def test_the_command_line_finds_a_tagger_in_the_data_folder(host, tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (64, 64), "magenta").save(tmp_path / "pictures" / "a.png")
    command = ["prepare", str(tmp_path / "pictures"), str(tmp_path / "out"), "--caption", "wd14", "--data-dir", str(tmp_path)]
    assert main(command) == 2 and "There is no WD14 tagger in" in capsys.readouterr().err and not (tmp_path / "out").exists()
    put(host.folder("taggers"))
    assert main(command) == 0
    assert [path.read_text().strip() for path in (tmp_path / "out").rglob("*.txt")] == ["red riding hood, blue sky"]


@pytest.mark.parametrize(("tags", "model", "named"), [
    (TAGS, b"broken", "cannot be loaded"), ("a,b\n1,2\n", b"a tagger", "list of tags"), (TAGS.rsplit("4", 2)[0], b"a tagger", "same tagger")])
def test_damaged_files_are_named(host, tags, model, named):
    put(host.folder("taggers"), tags, model)
    with pytest.raises(UserError, match=named), registry["wd14"](host) as captioner:
        captioner.describe(Image.new("RGB", (8, 8)))


def test_pixels_are_blue_first_on_a_white_square():
    array = pixels(Image.new("RGB", (4, 2), (10, 20, 30)), 4)
    assert array.shape == (1, 4, 4, 3) and array[0, 2, 2].tolist() == [30, 20, 10] and array[0, 0, 0].tolist() == [255, 255, 255]


def test_the_surest_tags_come_first_behind_characters():
    tags = [Tag("long_hair", "0"), Tag("c", "0"), Tag("who", "4"), Tag("safe", "9")]
    assert chosen(tags, [0.5, 0.9, 0.86, 1.0], {"0": 0.35, "4": 0.85}, True) == ["who", "c", "long hair"]
    assert [written(name, True) for name in ("long_hair", "^_^", "0_0", "x_x")] == ["long hair", "^_^", "0_0", "x_x"]
