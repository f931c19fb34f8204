"""Pictures and captions through the API: what is shown, what is written when, and which folders may be named."""

import threading

import pytest
import torch
from PIL import Image

from lib_sdtune.access import Access
from lib_sdtune.app import App
from lib_sdtune.host.base import Holding
from lib_sdtune.services.submission import check_config
from tests.hosts import TinyHost, pictures, settings
from tests.waiting import until

pytest.importorskip("fastapi", reason="fastapi comes with the WebUI and with the `ui` verb's requirements")
from fastapi import FastAPI  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402

from lib_sdtune.api.router import attach  # noqa: E402

ROOT = "/sdtune/v1"


class Teller(TinyHost):
    """A host whose interrogator says how many pictures it saw; `turn` is called before each."""

    seen, turn = 0, staticmethod(lambda: None)

    def interrogator(self, name, options, patience):
        from contextlib import contextmanager

        @contextmanager
        def lent():
            yield self.tell

        return lent()

    def tell(self, image):
        self.turn()
        self.seen += 1
        return f"seen {self.seen}"


@pytest.fixture
def app(tmp_path):
    host = Teller(tmp_path / "data")
    return App(lambda: host)


@pytest.fixture
def images(tmp_path):
    return pictures(tmp_path / "10_ron", count=5)


@pytest.fixture
def ask(client):
    def ask(path, body=None, method="post", wrong=0):
        answer = client.get(ROOT + path) if method == "get" else client.post(ROOT + path, json=body or {})
        assert answer.status_code == (wrong or 200), answer.text
        return answer.json()["detail"] if wrong else answer.json()

    return ask


@pytest.fixture
def album(ask, images):
    return "/captions/" + ask("/captions", {"images": str(images)})["id"]


def ended(ask, path):
    found = {}

    def over():
        found.update(ask(path, method="get"))
        return found["work"]["state"] not in ("waiting", "working")

    until(over)
    return found


def save(ask, album):
    ask(album + "/save")
    return ended(ask, album + "/work")["work"]


def test_an_album_shows_pictures_and_counts(ask, album, client):
    seen = ask(album + "?query=number%202", method="get")
    assert (seen["total"], seen["found"], [row["caption"] for row in seen["rows"]]) == (5, 1, ["a cat, number 2"])
    assert ask(album, method="get")["tags"][0] == ["a cat", 5]
    picture = client.get(f"{ROOT}{album}/pictures/2")
    assert picture.headers["content-type"] == "image/jpeg" and picture.content[:2] == b"\xff\xd8"
    for bad in ("9", "-1", "x", "..%2F0.png"):
        assert client.get(f"{ROOT}{album}/pictures/{bad}").status_code == 404


def test_nothing_is_written_before_save_and_the_old_text_stays_beside(ask, album, images):
    edit = {"do": "front", "words": "ron", "query": "number 1 or number 2"}
    preview = ask(album + "/preview", edit)
    assert preview["count"] == 2 and preview["examples"][0]["after"] == "ron, a cat, number 1"
    assert ask(album, method="get")["changed"] == 0
    assert ask(album + "/edit", edit) == {"count": 2}
    assert (images / "1.txt").read_text() == "a cat, number 1"
    saved = save(ask, album)
    assert (saved["written"], saved["problems"]) == (2, [])
    assert (images / "1.txt").read_text() == "ron, a cat, number 1\n"
    assert (images / "1.txt.bak").read_text() == "a cat, number 1"
    assert ask(album + "/undo") == {"count": 2} and ask(album, method="get")["changed"] == 2


def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(ask, album, images):
    ask(album + "/write", {"name": "0.png", "caption": "mine"})
    (images / "0.txt").write_text("theirs")
    saved = save(ask, album)
    assert saved["written"] == 0 and "changed by somebody else" in saved["problems"][0]
    assert (images / "0.txt").read_text() == "theirs"
    again = ask("/captions", {"images": str(images), "again": True})
    assert not again["kept"] and again["rows"][0]["caption"] == "theirs"


def test_a_page_that_is_loaded_again_finds_its_changes(ask, album, images):
    ask(album + "/edit", {"do": "add", "words": "hat"})
    again = ask("/captions", {"images": str(images)})
    assert again["kept"] and "/captions/" + again["id"] == album and again["changed"] == 5


def test_a_caption_that_cannot_be_written_is_told(ask, album, images):
    ask(album + "/edit", {"do": "add", "words": "hat"})
    (images / "1.txt.bak").mkdir()
    saved = save(ask, album)
    assert saved["state"] == "failed" and "1.txt can't be written" in saved["message"]
    assert ask(album, method="get")["changed"] == 4


@pytest.mark.parametrize(("do", "words", "new", "after"), [
    ("remove", "number*", "", "a cat"), ("replace", "a cat", "dog", "dog, number 0"), ("regex", r"number (\d)", r"no. \1", "a cat, no. 0"),
    ("add", "hat", "", "a cat, number 0, hat")])
def test_every_edit(ask, album, do, words, new, after):
    ask(album + "/edit", {"do": do, "words": words, "new": new})
    assert ask(album, method="get")["rows"][0]["caption"] == after


@pytest.mark.parametrize(("verb", "body", "named"), [
    ("edit", {"do": "ad", "words": "x"}, "did you mean 'add'"), ("edit", {"do": "add"}, "lacks its words"), ("edit", {"do": "regex", "words": "("}, "compile"),
    ("edit", {"do": "regex", "words": "a", "new": r"\9"}, "can't be used"), ("edit", {"do": "add", "words": 5}, "must be text"),
    ("edit", {"do": "add", "words": "x", "query": "not"}, "filter"), ("write", {"name": "../0.png", "caption": "x"}, "no picture"),
    ("describe", {"captioner": "x"}, "no captioner"), ("finals", {"dataset": {"resolutio": 1}}, "did you mean"), ("prune", {}, "trigger word")])
def test_wrong_wishes_are_told_in_a_sentence_and_change_nothing(ask, album, verb, body, named):
    assert named in ask(f"{album}/{verb}", body, wrong=422)
    assert ask(album, method="get")["changed"] == 0


def test_trigger_word_and_pruning_are_one_step(ask, album):
    common = ask(album + "/common", {"trigger": "ron"})
    assert common["tags"] == ["a cat"] and "trigger word" in common["why"]
    wish = {"trigger": "ron", "tags": "a cat"}
    assert ask(album + "/prune", wish | {"only_preview": True})["examples"][0]["after"] == "ron, number 0"
    assert ask(album, method="get")["changed"] == 0
    ask(album + "/prune", wish)
    assert ask(album, method="get")["rows"][4]["caption"] == "ron, number 4"
    ask(album + "/undo")
    assert ask(album, method="get")["changed"] == 0


def test_final_captions_are_those_of_the_trainer(ask, album):
    ask(album + "/write", {"name": "0.png", "caption": "a, b, c, d, e, f"})
    rows = ask(album + "/finals", {"dataset": {"shuffle_caption": True, "keep_tokens": 1}})
    assert len(rows) == 5 and rows[0]["caption"].startswith("a, ") and rows[0]["caption"] != "a, b, c, d, e, f"
    rows = ask(album + "/finals", {"prompt": "a photo of [name], [filewords]", "word": "ron"})
    assert rows[1]["caption"] == "a photo of ron, a cat, number 1"


@pytest.mark.parametrize("prompt", ["", "a toy", "a photo of [name]"])
def test_final_captions_of_pictures_without_words_are_the_trainers_too(ask, images, app, prompt):
    from lib_sdtune.config import Config
    from lib_sdtune.data.inspect import finals
    from lib_sdtune.data.loader import Dataset

    for number in range(4):
        (images / f"{number}.txt").unlink()
    config = settings(images)
    config["concepts"][0] |= {"images": str(images), "prompt": prompt}
    config = Config.from_dict(config)
    trained = {row["path"]: row["caption"] for row in finals(Dataset(check_config(config, app.context), config), count=50)}
    name = ask("/captions", {"images": str(images)})["id"]
    shown = ask(f"/captions/{name}/finals", {"prompt": prompt, "word": "ron"})
    assert {row["name"]: row["caption"] for row in shown} == trained


def test_captions_are_described_in_the_background_and_nothing_is_saved(ask, album, images):
    ask(album + "/write", {"name": "3.png", "caption": ""})
    ask(album + "/describe", {"captioner": "blip", "existing": "keep"})
    assert ended(ask, album + "/work")["work"]["state"] == "done"
    assert ask(album, method="get")["rows"][3]["caption"] == "seen 1"
    assert (images / "3.txt").read_text() == "a cat, number 3"


def test_describing_stops_and_keeps_what_it_has(ask, album, app):
    app.host.turn = lambda: app.host.seen == 1 and ask(album + "/stop")
    ask(album + "/describe", {"captioner": "blip", "existing": "replace"})
    assert ended(ask, album + "/work")["work"]["state"] == "stopped"
    assert [row["caption"] for row in ask(album, method="get")["rows"]][:3] == ["seen 1", "seen 2", "a cat, number 2"]


def test_nothing_else_changes_captions_while_they_are_described(ask, album, app):
    refused = []
    app.host.turn = lambda: refused.append(ask(album + "/edit", {"do": "add", "words": "x"}, wrong=422)) if not refused else None
    ask(album + "/describe", {"captioner": "blip", "existing": "replace"})
    ended(ask, album + "/work")
    assert "stop that first" in refused[0]


def test_a_host_without_interrogators_says_so_at_once(tmp_path, images):
    client = TestClient(attach(FastAPI(), App(lambda: TinyHost(tmp_path / "data"))))
    name = client.post(ROOT + "/captions", json={"images": str(images)}).json()["id"]
    answer = client.post(f"{ROOT}/captions/{name}/describe", json={"captioner": "deepbooru"})
    assert answer.status_code == 422 and "part of the WebUI" in answer.json()["detail"]


def test_a_folder_is_previewed_and_prepared(ask, images, tmp_path):
    Image.new("RGB", (300, 100), "red").save(images / "5.png")
    wish = {"source": str(images), "settings": {"resize": "square", "resolution": 64}}
    seen = ask("/prepare/preview", wish | {"number": 5})
    assert (seen["name"], seen["total"], seen["size"], seen["after"][0]["size"]) == ("5.png", 6, [300, 100], [64, 64])
    assert seen["before"].startswith("data:image/jpeg;base64,")
    out = tmp_path / "out"
    ask("/prepare", wish | {"out": str(out), "boxes": {"5.png": [0, 0, 0.5, 1]}})
    done = ended(ask, "/prepare")
    assert (done["work"]["state"], done["made"], done["problems"]) == ("done", 11, [])
    assert Image.open(out / "5.png").size == (64, 64) and Image.open(images / "5.png").size == (300, 100)


@pytest.mark.parametrize(("change", "named"), [({"out": ""}, "out"), ({"source": "/no/such"}, "/no/such"), ({"settings": {"crop": "x"}}, "crop"),
                                               ({"boxes": {"0.png": 5}}, "boxes"), ({"sorce": 1}, "sorce")])
def test_a_wrong_preparation_is_refused_before_it_begins(ask, images, tmp_path, change, named):
    assert named in ask("/prepare", {"source": str(images), "out": str(tmp_path / "out")} | change, wrong=422)
    assert ask("/prepare", method="get") == {"work": None} and not (tmp_path / "out").exists()


def test_an_earlier_crop_is_shown_and_can_be_taken_back(ask, images, tmp_path):
    wish = {"source": str(images), "settings": {"resolution": 64, "min_bucket_reso": 64}, "out": str(tmp_path / "out")}
    assert ask("/prepare/preview", wish)["box"] is None
    ask("/prepare", wish | {"boxes": {"1.png": [0, 0, 0.5, 1]}})
    ended(ask, "/prepare")
    assert ask("/prepare/preview", wish | {"number": 1})["box"] == [0, 0, 0.5, 1]
    assert ask("/prepare/preview", wish | {"number": 1, "box": None})["box"] is None
    ask("/prepare", wish | {"boxes": {"1.png": None}})
    ended(ask, "/prepare")
    assert ask("/prepare/preview", wish | {"number": 1})["box"] is None


def test_pictures_without_words_are_described_while_preparing(ask, images, tmp_path):
    (images / "1.txt").unlink()
    wish = {"source": str(images), "out": str(tmp_path / "out"), "captioner": "deepbooru", "options": {"threshold": 0.6}}
    ask("/prepare", wish)
    assert ended(ask, "/prepare")["work"]["state"] == "done"
    assert (tmp_path / "out/1.txt").read_text() == "seen 1\n" and (tmp_path / "out/2.txt").read_text() == "a cat, number 2\n"
    for change, named in (({"captioner": "blop"}, "blip"), ({"options": {"treshold": 1}}, "threshold")):
        assert named in ask("/prepare", wish | change, wrong=422)


def test_output_inside_the_input_is_refused(ask, images):
    assert "lies in IN" in ask("/prepare", {"source": str(images), "out": str(images / "out")}, wrong=422)


def test_class_pictures_are_drawn_in_the_queue(ask, images, tmp_path, app):
    config = settings(images)
    config["concepts"][0] |= {"class_images": str(tmp_path / "class"), "class_prompt": "a cat", "num_class_images": 3}
    ask("/class-pictures", config | {"name": ""})
    assert ended(ask, "/class-pictures")["work"] == {"state": "done", "done": 3, "total": 3, "text": "drawing class pictures", "message": ""}
    assert len(list((tmp_path / "class").glob("*.png"))) == 3
    assert "nothing is missing" in ask("/class-pictures", config, wrong=422)
    assert app.jobs.runs() == []


@pytest.mark.parametrize(("change", "named"), [({"num_class_images": 0}, "num_class_images"), ({"class_prompt": " "}, "class_prompt"),
                                               ({"class_images": ""}, "class_images")])
def test_class_pictures_that_cannot_be_are_refused(ask, images, tmp_path, change, named):
    config = settings(images)
    config["concepts"][0] |= {"class_images": str(tmp_path / "class"), "class_prompt": "a cat", "num_class_images": 3} | change
    assert named in ask("/class-pictures", config, wrong=422)


def test_two_steps_are_measured_in_the_queue(ask, images, app):
    assert ask("/measure", method="get") == {"work": None, "found": None}
    ask("/measure", settings(images) | {"name": ""})
    seen = ended(ask, "/measure")
    assert seen["work"]["state"] == "done" and seen["found"]["measured"] and seen["found"]["fits"] and seen["found"]["changes"] == {}
    assert "{seconds}" in seen["found"]["template"] and set(seen["found"]["values"]) == {"device", "needs", "has", "seconds"}
    assert app.jobs.runs() == [] and not (app.host.folder("sdtune") / "measuring").exists()


def test_measuring_refuses_what_start_would_and_can_be_stopped(ask, images, app):
    assert "images" in ask("/measure", {"concepts": [{"images": str(images / "none")}]}, wrong=422)
    gate = threading.Event()
    app.context.queue.run_when_free(gate.wait)  # somebody before us
    ask("/measure", settings(images))
    assert "already" in ask("/measure", settings(images), wrong=422)
    ask("/measure/stop")
    gate.set()
    assert ended(ask, "/measure")["work"]["state"] == "stopped"


def test_memory_is_guessed_without_pictures_where_the_host_knows_its_model(ask, app, monkeypatch):
    wanted = {"concepts": [{"images": "not there yet"}], "method": "dreambooth"}
    assert ask("/memory", wanted) == {}
    shapes = {"unet": {"input_blocks.0.0.weight": (320, 4, 3, 3)}, "vae": {}, "text_encoder_1": {}}
    monkeypatch.setattr(app.host, "holding", lambda model: Holding(shapes, torch.float32, torch.device("cpu")), raising=False)
    facts = ask("/memory", wanted)
    assert not facts["measured"] and facts["needs"] > 0 and facts["template"].startswith("Estimated")


def test_a_failing_sampler_is_told_and_the_queue_goes_on(ask, images, tmp_path, app, monkeypatch):
    monkeypatch.setattr(app.host, "generate", lambda requests: iter(()), raising=False)
    config = settings(images, train={"max_train_steps": 1})
    wanted = config | {"concepts": [config["concepts"][0] | {"class_images": str(tmp_path / "class"), "class_prompt": "a cat", "num_class_images": 3}]}
    ask("/class-pictures", wanted)
    assert "interrupted" in ended(ask, "/class-pictures")["work"]["message"]
    app.submit(config)
    until(lambda: app.jobs.status("ron")["state"] == "finished")


@pytest.mark.parametrize(("path", "body"), [("/captions", {"images": "X"}), ("/prepare", {"source": "X", "out": "Y"}), ("/prepare", {"source": "Y", "out": "X"}),
                                            ("/prepare/preview", {"source": "X"})])
def test_folders_outside_the_allowed_ones_are_refused(tmp_path, images, path, body):
    inside = tmp_path / "inside"
    pictures(inside)
    app = App(lambda: TinyHost(tmp_path / "data"), Access(roots=lambda: [inside]))
    client = TestClient(attach(FastAPI(), app))
    places = {"X": str(images), "Y": str(inside)}
    answer = client.post(ROOT + path, json={key: places[name] for key, name in body.items()})
    assert answer.status_code == 422 and "outside the folders" in answer.json()["detail"]


def test_strangers_and_other_sites_are_kept_out(client, app, images):
    foreign = {"Origin": "http://evil.example"}
    assert client.post(ROOT + "/captions", json={"images": str(images)}, headers=foreign).status_code == 403
    assert client.post(ROOT + "/prepare", json={}, headers=foreign).status_code == 403
    app.access = Access({"me": "secret"})
    assert client.post(ROOT + "/captions", json={"images": str(images)}).status_code == 401
    assert client.get(ROOT + "/captions/x/pictures/0").status_code == 401
    assert client.get(f"{ROOT}/captions/x/pictures/0?key={app.access.key}").status_code == 404
