"""Folders prepared through the API: the preview, the whole folder, and what is refused."""

import pytest
from PIL import Image


def test_a_folder_is_previewed_and_prepared(ask, images, tmp_path, ended):
    Image.new("RGB", (300, 100), "red").save(images / "5.png")
    wish = {"source": str(images), "settings": {"resize": "square", "resolution": 64}}
    seen = ask("/prepare/preview", wish | {"number": 5})
    assert (seen["name"], seen["total"], seen["size"], seen["after"][0]["size"]) == ("5.png", 6, [300, 100], [64, 64])
    assert seen["before"].startswith("data:image/jpeg;base64,")
    out = tmp_path / "out"
    ask("/prepare", wish | {"out": str(out), "boxes": {"5.png": [0, 0, 0.5, 1]}})
    done = ended("/prepare")
    assert (done["work"]["state"], done["made"], done["problems"]) == ("done", 11, [])
    assert Image.open(out / "5.png").size == (64, 64) and Image.open(images / "5.png").size == (300, 100)


@pytest.mark.parametrize(("change", "named"), [({"out": ""}, '"out"'), ({"out": '"'}, '"out"'), ({"source": "/no/such"}, "/no/such"), ({"settings": {"crop": "x"}}, "crop"),
                                               ({"boxes": {"0.png": 5}}, "boxes"), ({"sorce": 1}, "sorce")])
def test_a_wrong_preparation_is_refused_before_it_begins(ask, images, tmp_path, change, named):
    assert named in ask("/prepare", {"source": str(images), "out": str(tmp_path / "out")} | change, wrong=422)
    assert ask("/prepare", method="get") == {"work": None} and not (tmp_path / "out").exists()


def test_an_earlier_crop_is_shown_and_can_be_taken_back(ask, images, tmp_path, ended):
    wish = {"source": str(images), "settings": {"resolution": 64, "min_bucket_reso": 64}, "out": str(tmp_path / "out")}
    assert ask("/prepare/preview", wish)["box"] is None
    ask("/prepare", wish | {"boxes": {"1.png": [0, 0, 0.5, 1]}})
    ended("/prepare")
    assert ask("/prepare/preview", wish | {"number": 1})["box"] == [0, 0, 0.5, 1]
    assert ask("/prepare/preview", wish | {"number": 1, "box": None})["box"] is None
    ask("/prepare", wish | {"boxes": {"1.png": None}})
    ended("/prepare")
    assert ask("/prepare/preview", wish | {"number": 1})["box"] is None


def test_pictures_without_words_are_described_while_preparing(ask, images, tmp_path, ended):
    (images / "1.txt").unlink()
    wish = {"source": str(images), "out": str(tmp_path / "out"), "captioner": "deepbooru", "options": {"threshold": 0.6}}
    ask("/prepare", wish)
    assert ended("/prepare")["work"]["state"] == "done"
    assert (tmp_path / "out/1.txt").read_text() == "seen 1\n" and (tmp_path / "out/2.txt").read_text() == "a cat, number 2\n"
    for change, named in (({"captioner": "blop"}, "blip"), ({"options": {"treshold": 1}}, "threshold")):
        assert named in ask("/prepare", wish | change, wrong=422)


def test_output_inside_the_input_is_refused(ask, images):
    assert "lies in the folder of originals" in ask("/prepare", {"source": str(images), "out": str(images / "out")}, wrong=422)
