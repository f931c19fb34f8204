"""The Check button's sentences, on real folders."""

import json
import re
from html import unescape
from types import SimpleNamespace

import pytest
from PIL import Image

from lib_sdtune.app import App
from lib_sdtune.errors import UserError
from lib_sdtune.sentences import coded, recognised
from lib_sdtune.ui import check, costs
from lib_sdtune.ui.field_labels import with_labels
from tests.hosts import TinyHost, pictures, settings


@pytest.fixture
def app(tmp_path):
    return App(lambda: TinyHost(tmp_path / "data"))


def text(html):
    return re.sub(r"<[^>]+>", "\n", html)


def test_the_arithmetic_is_told_in_words(app, tmp_path):
    folder = pictures(tmp_path / "10_ron", count=3)
    report = text(check.report(settings(folder, train={"batch_size": 2, "max_train_steps": 150}), app))
    assert "3 pictures, 3 with captions of their own." in report
    assert "3 pictures × 10 repeats ÷ batch 2 = 15 steps an epoch; 150 steps = 10 epochs." in report
    assert "Sizes: 128 × 128 (30)." in report
    assert "known after the first steps" in report
    assert re.search(r"Disk: 1 file; [\d,.]+ [GM]B are free\.", report)


def test_what_earlier_runs_keep_to_be_resumed_is_told(app, tmp_path):
    """The most that one of this method keeps; another method's says nothing of it."""
    config = settings(pictures(tmp_path / "ron"), method="lora")
    for name, method, sizes in (("a", "lora", (10**6, 2 * 10**6)), ("b", "lora", (10**6,)), ("c", "hypernetwork", (10**9,))):
        run = app.host.folder("sdtune") / "runs" / name
        (run / "state").mkdir(parents=True)
        (run / "config.json").write_text(json.dumps({**config, "name": name, "method": method}))
        (run / "status.json").write_text(json.dumps({"state": "finished", "method": method}))
        for number, size in enumerate(sizes):
            with (run / "state" / f"step{number:08}.safetensors").open("wb") as file:
                file.truncate(size)
    assert "Resume points take about 3 MB besides, and stay until the run is deleted." in text(check.report(config, app))


def test_nothing_is_told_of_resume_points_before_any_was_written(app, tmp_path):
    assert "Resume points" not in text(check.report(settings(pictures(tmp_path / "ron")), app))


@pytest.mark.parametrize(("count", "warning"), [(1, "Only 1 picture:"), (9, "Only 9 pictures:"), (10, "")])
def test_few_pictures_are_told(app, tmp_path, count, warning):
    html = check.report(settings(pictures(tmp_path / "pics", count=count)), app)
    warnings = [line for line in text(html).split("\n") if line.startswith("Only ")]
    assert [line[:len(warning)] for line in warnings] == ([warning] if warning else [])
    assert not warning or html.index("sdtune-yellow") < html.index(warning)


def test_single_bad_files_are_named_and_escaped(app, tmp_path):
    folder = pictures(tmp_path / "pics", count=2)
    (folder / "<b>.png").write_bytes(b"no picture")
    (folder / "0.txt").write_text("a <script> caption")
    (folder / "1.txt").unlink()
    html = check.report(settings(folder, concepts=[{"images": str(folder)}]), app)
    assert "<script>" not in html and "<b>" not in html
    assert "&lt;b&gt;.png" in html and "sdtune-yellow" in html
    assert "0.png: a &lt;script&gt; caption" in html


def test_the_pictures_are_shown_a_few_of_many_and_with_escaped_names(app, tmp_path):
    folder, classes = pictures(tmp_path / "pics", count=30), pictures(tmp_path / "class", count=2, seed=1)
    (folder / "0.png").rename(folder / '0" onerror="x.png')
    (folder / "1.txt").write_text('<i>"', encoding="utf-8")
    concept = {"images": str(folder), "class_images": str(classes), "class_prompt": "a cat"}
    html = check.report(settings(folder, concepts=[concept]), app)
    assert "<span>Pictures</span> (24 / 30)" in html and "<span>Class pictures</span> (2)" in html
    assert html.count("<img ") == 26 and ' onerror="' not in html and "&lt;i&gt;&quot;" in html
    contents = {picture.content for picture in app.context.latest_scan.pictures}
    assert set(re.findall(r'<img src="./sdtune/v1/inspect/pictures/([^"]+)"', html)) <= contents


def test_what_samples_cost_is_told_before_they_are_drawn(app, tmp_path):
    folder = pictures(tmp_path / "pics")

    def said(**changes):
        return next((line for line in text(check.report(settings(folder, **changes), app)).split("\n") if "Samples:" in line), "")

    long = {"train": {"max_train_steps": 1500}}
    assert said(**long) == "Samples: 1 prompt, before the first step and at every tenth; about 10 % of the time, counted, not measured."
    assert said(train={"max_train_steps": 200}) == "Samples: 1 prompt, 2 times; about 13 % of the time, counted, not measured."
    assert said() == "Samples: none, because even one would take more than 15 % of the time."
    assert "3 times" in said(**long, sample={"every_n_steps": 500}) and said(**long, sample={"every_n_steps": 0}) == ""


def test_a_name_that_is_taken_is_red_and_the_rest_is_told_all_the_same(app, tmp_path):
    folder = pictures(tmp_path / "pics")
    lora = app.host.folder("lora")
    lora.mkdir(parents=True)
    (lora / "ron.safetensors").write_bytes(b"")
    html = check.report(settings(folder), app)
    assert "exists already" in html and "sdtune-red" in html and "3 pictures" in html


def test_a_folder_without_pictures_stops(app, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no pictures"):
        check.report(settings(tmp_path / "empty"), app)


@pytest.mark.parametrize("seconds, words", [(1, "1 second"), (59, "1 minute"), (780, "13 minutes"), (7500, "2 h 05 min")])
def test_durations(seconds, words):
    assert costs.duration(seconds) == words


@pytest.mark.parametrize("low, high, words", [(175, 185, "About 3 minutes, measured"), (175, 300, "About 3 minutes (3 minutes to 5 minutes), measured"),
                                              (1, 1.2, "About 1 second, measured")])
def test_a_range_of_one_value_is_told_as_one(app, monkeypatch, low, high, words):
    step = SimpleNamespace(measured=SimpleNamespace(run="ron"), same_method=True, ratio=1, high=1, seconds=1)
    monkeypatch.setattr(costs.durations, "expected", lambda *_: SimpleNamespace(seconds=low * 1.02, low=low, high=high, step=step, besides=0))
    sentence = costs.time(SimpleNamespace(total_steps=10, steps_per_epoch=5), None, app)
    assert sentence.startswith(words) and sentence in coded([sentence])


@pytest.mark.parametrize("steps, words", [(3, "1 epoch."), (6, "2 epochs."), (4, "1.33 epochs.")])
def test_one_epoch_is_told_as_one(app, tmp_path, steps, words):
    report = text(check.report(settings(pictures(tmp_path / "pics"), train={"max_train_steps": steps, "batch_size": 1}), app))
    sentence = next(line for line in report.splitlines() if words in line)
    assert "an epoch" in coded([sentence])[sentence]["code"]


def test_the_look_at_the_vae_is_seen_and_can_be_stopped(app, tmp_path, monkeypatch):
    from lib_sdtune.training import vae_detail

    config, seen = settings(pictures(tmp_path / "pics", count=4)), []
    original = vae_detail.reconstructed

    def watched(model, image, halfway):
        seen.append(app.inspection.status()["work"])
        return original(model, image, halfway)

    monkeypatch.setattr(vae_detail, "reconstructed", watched)
    monkeypatch.setattr(vae_detail, "share_kept", lambda *_: 0.0)
    assert "loses the fine parts of 4" in check.report(config, app)
    assert [(work["state"], work["done"], work["total"], work["text"]) for work in seen] == [
        ("working", number, 4, vae_detail.LOOKING) for number in range(4)]

    def stopped(model, image, halfway):
        app.inspection.stop()
        return watched(model, image, halfway)

    monkeypatch.setattr(vae_detail, "reconstructed", stopped)
    report = check.report(config, app)
    assert "4 pictures" in report and "loses the fine parts" not in report and len(seen) == 5
    assert app.inspection.status()["work"]["state"] == "done"


def test_an_embedding_that_captions_name_is_told(tmp_path, app):
    folder = app.host.folder("embeddings") / "mine"
    folder.mkdir(parents=True)
    (folder / "cat.pt").write_bytes(b"")
    report = text(check.report(settings(pictures(tmp_path / "pics")), app))
    assert "an embedding has that name" in report


def test_prompt_syntax_is_taken_out_by_one_click_where_captions_have_it(app, tmp_path):
    folder = pictures(tmp_path / "a & b", count=2)
    assert "sdtune-plain-captions" not in check.report(settings(folder), app)
    (folder / "0.txt").write_text("a (red:1.3) hat", encoding="utf-8")
    html = check.report(settings(folder), app)
    assert html.count("sdtune-plain-captions") == 1 and f'data-folder="{tmp_path}/a &amp; b" data-extension=".txt"' in html


def test_check_needs_no_name(app, tmp_path):
    report = check.report(settings(pictures(tmp_path / "pics"), name=""), app)
    assert "3 pictures" in text(report) and "sdtune-red" not in report


def test_masks_are_counted_and_their_lack_is_refused(app, tmp_path):
    folder = pictures(tmp_path / "pics", count=2)
    by_masks = settings(folder, dataset={"masked_loss": True})
    with pytest.raises(UserError, match="beside no picture lies a mask"):
        check.report(by_masks, app)
    Image.new("L", (128, 128), 255).save(folder / "0.mask.png")
    assert "Masks: 1 of 2 pictures" in text(check.report(by_masks, app)) and "Masks:" not in text(check.report(settings(folder), app))


def test_the_name_of_a_run_that_is_on_is_told_as_such(app, tmp_path, monkeypatch):
    monkeypatch.setattr(app.jobs, "is_live", lambda name: name == "ron")
    app.jobs.controls["ron"] = SimpleNamespace(state="training")
    report = text(check.report(settings(pictures(tmp_path / "pics")), app))
    assert "A run called ron is training" in report and "can be resumed" not in report


def test_what_a_program_would_write_is_left_out_for_people():
    sentence = with_labels('"train.seed" is odd; allow it ("overwrite": true).', {"train.seed": "Seed", "overwrite": "Replace a file"})
    assert sentence == '"Seed" is odd; allow it.'


def test_what_samples_cost_can_be_said_in_another_language(app, tmp_path):
    folder = pictures(tmp_path / "pics")
    for changes in ({}, {"steps": 150, "width": 1024, "height": 1024}):
        lines = text(check.report(settings(folder, sample=changes), app)).split("\n")
        values = recognised(next(line for line in lines if "Samples:" in line))["values"].values()
        assert all(isinstance(value, dict) or value.isdigit() for value in values), values


@pytest.mark.parametrize("changes, word", [
    ({"train": {"optimizer_args": {"x": 1}}}, "optimizer_args"), ({"model": {"base_loras": ["nope:1"]}}, "nope"),
    ({"lora": {"init_file": "nope"}}, "nope")])
def test_what_start_would_refuse_is_refused(app, tmp_path, changes, word):
    with pytest.raises(UserError, match=word):
        check.report(settings(pictures(tmp_path / "pics"), **changes), app)


def test_tags_of_sample_prompts_without_a_file_are_told(app, tmp_path, monkeypatch):
    monkeypatch.setattr(type(app.host), "unknown_tags", lambda self, prompt: ["<lora:ronn>"], raising=False)
    report = text(check.report(settings(pictures(tmp_path / "pics"), sample={"prompts": ["a cat <lora:ronn:1>"]}), app))
    assert '"sample.prompts" has <lora:ronn>, and there is no file of that name' in unescape(report)
