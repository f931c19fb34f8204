"""From a finished run to a published file and back, on the embedded model."""

import json
import re
import shutil

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from lib_sdtune.__main__ import main
from lib_sdtune.config import Config
from lib_sdtune.errors import NameTaken, UserError
from lib_sdtune.evaluation import comparison, evaluation, journal, run_report
from lib_sdtune.evaluation import publish as publishing
from lib_sdtune.evaluation.any_files import AnyFiles
from lib_sdtune.evaluation.evaluation import Evaluation, result
from lib_sdtune.evaluation.journal import FILE as JOURNAL
from lib_sdtune.evaluation.publish import publish, undo
from lib_sdtune.evaluation.settings import EvaluationSettings, read, sample_requests
from lib_sdtune.host.embedded import EmbeddedHost
from lib_sdtune.pages import html as html_page
from lib_sdtune.sections.model import Model
from lib_sdtune.training.runs import RunFolder, begin
from tests.hosts import train
from tests.test_architecture import ROOT

EXAMPLE = ROOT / "examples" / "ron" / "ron"
WANTED = {"prompts": ["a photo of a red ron toy on snow --s 2", "a photo of a <b>blue</b> ron toy on sand"], "seeds": [1, 2], "steps": 1}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A data folder with one short run that saved twice and sampled once."""
    place = tmp_path_factory.mktemp("choose")
    (place / "1_ron").mkdir()
    for number in range(1, 4):
        for ending in ("png", "txt"):
            shutil.copy(EXAMPLE / f"{number:02}.{ending}", place / "1_ron")
    host = EmbeddedHost(place / "data")
    config = {"name": "ron", "concepts": [{"images": str(place / "1_ron"), "prompt": "a photo of a ron toy"}],
              "save": {"every_n_epochs": 1},
              "train": {"max_train_epochs": 2}, "lora": {"dim": 2, "unet_lr": 1e-2}, "validation": {"split": 0.3},
              "sample": {"every_n_epochs": 1, "prompts": ["ron --n blurry"], "steps": 2}}
    train(host, Config.from_dict(config, host.defaults(Model())))
    return place / "data"


@pytest.fixture
def host(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "data")
    return EmbeddedHost(tmp_path / "data")


@pytest.fixture
def run(host):
    return RunFolder(host.folder("sdtune") / "runs" / "ron")


def listing(host):
    return {path.name: path.read_bytes() for path in host.folder("lora").iterdir()}


def test_what_one_prompt_alone_can_tell_is_read_again(host, run, monkeypatch):
    monkeypatch.setattr(evaluation, "STRENGTHS", (1.0,))
    outcome = Evaluation(host, run, read(WANTED | {"prompts": WANTED["prompts"][:1], "seeds": [1]})).make()
    assert outcome["curve"][0]["prompt"] is None and result(run) == json.loads(json.dumps(outcome))


def test_a_choice_ranks_with_reasons_and_leaves_pages(host, run, monkeypatch):
    monkeypatch.setattr(evaluation, "STRENGTHS", (0.5, 1.0))
    steps = []
    outcome = Evaluation(host, run, read(WANTED), lambda done, total, text: steps.append((done, total))).make()
    assert {entry["file"] for entry in outcome["ranking"]} == {"ron", "ron-000001"}
    assert outcome["proposal"]["file"] == outcome["ranking"][0]["file"] and outcome["proposal"]["weight"] in evaluation.STRENGTHS
    assert all(entry["reasons"] and 0 <= entry["score"] <= 1 for entry in outcome["ranking"]) and "UNet" in outcome["measured_by"]
    by_step = sorted(outcome["ranking"], key=lambda entry: entry["step"])
    assert [entry["val_loss"] for entry in by_step] == [row["val_loss"] for row in run.log() if row["val_loss"]]
    assert [column["label"] for column in outcome["columns"]] == ["without", "epoch 1 · 1", "end · 1"] and len(outcome["rows"]) == 4
    assert len(outcome["curve"]) == 2 and result(run) == json.loads(json.dumps(outcome)) and max(steps)[0] > 0

    sheet = Image.open(run.path / "choose" / "sheet.png")
    assert 3 * 96 < sheet.width < 4 * 96 and len(set(sheet.resize((32, 32)).getdata())) > 20
    html = (run.path / "choose" / "index.html").read_text()
    assert html.count("data:image/jpeg;base64,") >= 12 and not re.search(r"(src|href)=[\"']?(http|file|/|\.)", html)
    assert "<b>blue" not in html and "&lt;b&gt;blue" in html
    cells = list((run.path / "choose" / "cells").glob("*.png"))
    for path in cells:
        with Image.open(path) as image:
            assert "Seed: " in image.info["parameters"] and "Model: sdtune-embedded" in image.info["parameters"]

    before = {path: path.stat().st_mtime_ns for path in cells}
    Evaluation(host, run, read({**WANTED, "files": ["ron"], "strength": False})).make()
    after = (run.path / "choose" / "cells").glob("*.png")
    assert {path: path.stat().st_mtime_ns for path in after} == before


def test_an_estimate_says_what_is_for_the_strength(host, run):
    """Two files and the bare model of two prompts and two seeds; one of them at five further weights."""
    settings = read(WANTED)
    estimate = Evaluation(host, run, settings).estimate()
    assert (estimate["missing"], estimate["strength"]) == (3 * 4 + 5 * 4, 5 * 4)
    settings.strength = False
    assert Evaluation(host, run, settings).estimate()["missing"] == 3 * 4
    files = [host.folder("lora") / "ron.safetensors"]
    assert Evaluation(host, AnyFiles(host, "some", files), read(WANTED)).estimate()["strength"] == 0  # none is proposed


def test_publishing_and_taking_back(host, run):
    before = listing(host)
    with pytest.raises(UserError, match="Nothing was proposed"):
        publish(host, run)
    with pytest.raises(UserError, match="no saved file 'nobody'"):
        publish(host, run, "nobody")
    with pytest.raises(UserError, match="must be a number above 0"):
        publish(host, run, "ron-000001", float("nan"))
    assert listing(host) == before

    publication = publish(host, run, "ron-000001", 0.8)
    assert set(listing(host)) == {"ron.safetensors", "ron.json", "ron.preview.png"}
    assert publication["swept"] == ["ron-000001.safetensors", "ron.safetensors"]
    final, kept = host.folder("lora") / "ron.safetensors", run.path / "epochs" / "ron-000001.safetensors"
    with safe_open(final, "pt") as file, safe_open(kept, "pt") as old:
        assert file.metadata()["ss_output_name"] == "ron" and old.metadata()["ss_output_name"] == "ron-000001"
        assert all(torch.equal(file.get_tensor(name), old.get_tensor(name)) for name in old.keys())  # noqa: SIM118
    card = json.loads((host.folder("lora") / "ron.json").read_text())
    assert card["preferred weight"] == 0.8 and card["activation text"] == "a photo of a ron toy" and card["negative text"] == "blurry"
    assert card["sd version"] == "SD1" and "step 1" in card["notes"] and "dim 2" in card["notes"]
    with pytest.raises(UserError, match="published already"):
        publish(host, run, "ron")

    assert undo(host, run) == {"files": ["ron-000001.safetensors", "ron.safetensors"], "kept": []}
    assert listing(host) == before and not (run.path / JOURNAL).exists()
    with pytest.raises(UserError, match="nothing to take back"):
        undo(host, run)


def test_a_picture_that_somebody_chose_for_a_file_goes_and_comes_back_with_it(host, run):
    picture = host.folder("lora") / "ron-000001.preview.jpg"
    picture.write_bytes(b"a picture of another format")
    before = listing(host)
    publish(host, run, "ron")
    assert not picture.exists() and (run.path / "epochs" / picture.name).exists()
    undo(host, run)
    assert listing(host) == before


def test_publishing_the_last_file_leaves_it_and_its_edited_card(host, run):
    card = host.folder("lora") / "ron.json"
    card.write_text(json.dumps({"description": "mine", "activation text": "rrron", "negative text": "fog", "notes": "from May"}))
    before = listing(host)
    publish(host, run, "ron", 0.6)
    after = listing(host)
    assert after["ron.safetensors"] == before["ron.safetensors"] and set(after) == {"ron.safetensors", "ron.json", "ron.preview.png"}
    written = json.loads(card.read_text())
    assert (written["description"], written["activation text"], written["negative text"]) == ("mine", "rrron", "fog")
    assert written["preferred weight"] == 0.6 and written["notes"].splitlines()[0] == "from May" and "dim 2" in written["notes"]
    undo(host, run)
    assert listing(host) == before


def test_a_crash_in_the_middle_can_be_taken_back(host, run, monkeypatch):
    before, moves = listing(host), []
    rename = journal.rename

    def killed(*paths):
        moves.append(paths)
        if len(moves) == 2:
            raise KeyboardInterrupt
        rename(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(journal, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            publish(host, run, "ron-000001")
    assert listing(host) != before
    undo(host, run)
    assert listing(host) == before


def test_a_move_that_was_cut_off_between_two_disks_loses_nothing(host, run):
    """The journal says that a file went to the run folder, but only half of it is there and the first one is still in its place."""
    before, path = listing(host), host.folder("lora") / "ron-000001.safetensors"
    half = run.path / "epochs" / path.name
    half.parent.mkdir()
    half.write_bytes(path.read_bytes()[:100])
    (run.path / JOURNAL).write_text(json.dumps([{"moved": str(path), "to": str(half)}]))
    undo(host, run)
    assert listing(host) == before and not (run.path / JOURNAL).exists()


def test_a_published_run_is_not_trained_over(host, run):
    publish(host, run, "ron-000001")
    for resume, overwrite in ((False, True), (True, False)):
        config = run.config()
        config.overwrite = overwrite
        with pytest.raises(NameTaken, match="published"):
            begin(config, host, resume)
    assert (run.path / "log.csv").exists() and (run.path / JOURNAL).exists()


def test_no_room_is_told_before_anything_is_moved(host, run, monkeypatch):
    before = listing(host)
    monkeypatch.setattr(publishing, "free_space", lambda folder: 1000)
    with pytest.raises(UserError, match="no room for a copy of ron-000001"):
        publish(host, run, "ron-000001")
    assert listing(host) == before and not (run.path / JOURNAL).exists()


def test_two_runs_side_by_side(host, run, tmp_path):
    other = RunFolder(run.path.with_name("second"))
    shutil.copytree(run.path, other.path)
    changed = json.loads((other.path / "config.json").read_text())
    changed["name"], changed["lora"]["dim"] = "second", 8
    (other.path / "config.json").write_text(json.dumps(changed))
    seen = comparison.compare(run, other)
    assert seen["differing"] == [{"setting": "lora.dim", "one": 2, "other": 8}]
    assert [len(points) for points in seen["curves"]["loss"]] == [2, 2] and len(seen["samples"]) == 1 and seen["samples"][0]["seed"] == "1"
    html = comparison.write(run, other, tmp_path / "two.html").read_text()
    assert html.count("data:image/jpeg;base64,") == 2 and "lora.dim" in html and "<svg" in html


def test_the_report_tells_all_of_a_run_and_nothing_of_the_machine(host, run, tmp_path):
    html = run_report.write(run, run.status(), "torch 2").read_text()
    assert html.count("<svg") >= 2 and html.count("data:image/jpeg;base64,") == 2 + 3 - 1
    assert "lora.dim" in html and "torch 2" in html and str(tmp_path) not in html and "http" not in html


def test_files_of_no_run_are_drawn_side_by_side(host, run, capsys):
    files = [str(host.folder("lora") / name) for name in ("ron.safetensors", "ron-000001.safetensors")]
    arguments = ["choose", "old ones", "--data-dir", str(host.data_dir), "--prompts", "a red ron toy", "--seeds", "1", "--steps", "1", "--width", "64"]
    assert main([*arguments, "--height", "64", "--of", *files]) == 0
    assert "drawn but not ranked" in capsys.readouterr().out
    folder = host.folder("sdtune") / "choices" / "old ones" / "choose"
    assert (folder / "sheet.png").exists() and len(list((folder / "cells").glob("*.png"))) == 3


def test_a_page_escapes_what_it_is_told():
    html = html_page.page("<i>", html_page.paragraph("<script>"), html_page.table(["<a>"], [["<u>"]]), html_page.listing(["<s>"]),
                     html_page.picture(Image.new("RGB", (9, 9)), 8, '"<p>'))
    assert not any(tag in html for tag in ("<i>", "<script>", "<a>", "<u>", "<s>", '""<p>')) and "&quot;&lt;p&gt;" in html


def test_the_command_line_chooses_publishes_and_takes_back(host, run, capsys):
    data = ["--data-dir", str(host.data_dir)]
    assert main(["choose", "ron", *data, "--publish", "--file", "ron-000001", "--weight", "0.5"]) == 0
    assert "ron-000001, preferred weight 0.5" in capsys.readouterr().out and not (host.folder("lora") / "ron-000001.safetensors").exists()
    assert main(["choose", "ron", *data, "--undo"]) == 0 and (host.folder("lora") / "ron-000001.safetensors").exists()
    assert main(["report", "ron", *data]) == 0 and capsys.readouterr().out.strip().endswith("report.html")
    assert main(["compare", "ron", "ron", *data, "--out", str(host.data_dir / "two.html")]) == 0 and (host.data_dir / "two.html").exists()


def test_files_of_no_run_are_drawn_with_what_suits_the_model():
    suited = {"sample": {"cfg_scale": 2.0, "steps": 9, "width": 32}, "dataset": {"resolution": 64}}
    request = sample_requests(EvaluationSettings(), None, suited)[0]
    assert (request.cfg_scale, request.steps, request.width, request.height) == (2.0, 9, 64, 64)
    request = sample_requests(EvaluationSettings(cfg_scale=5.0), None, {})[0]
    assert (request.cfg_scale, request.steps, request.width) == (5.0, 20, 512)
