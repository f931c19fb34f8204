"""What a run tells while it goes on: validation, single pictures, what the time goes to, TensorBoard."""

import json
import shutil

import pytest

from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.host.embedded import EmbeddedHost
from lib_sdtune.pages import line_chart
from lib_sdtune.sections.model import Model
from lib_sdtune.training import log_csv, per_image_loss, tensorboard
from lib_sdtune.training.runs import RunFolder
from tests.hosts import TinyHost, pictures, settings, train
from tests.test_architecture import ROOT

EXAMPLE = ROOT / "examples" / "ron" / "ron"

MEASURING = {"validation": {"split": 0.34, "every_n_steps": 2}}


def rows(control):
    return [row for row in RunFolder(control.folder).log() if row["val_loss"] is not None]


def test_validation_measures_three_kinds_of_pictures_in_four_bins(host, tmp_path):
    own, other = pictures(tmp_path / "1_ron", 4), pictures(tmp_path / "class", 2, seed=1)
    config = settings(own, **MEASURING, train={"max_train_steps": 8})
    config["concepts"][0] |= {"class_images": str(other), "class_prompt": "a cat"}
    control = train(host, config)
    measured = rows(control)
    assert [row["step"] for row in measured] == [2, 4, 6, 8]
    for row in measured:
        assert min(row["fit_loss"], row["class_loss"]) > 0
        assert row["val_loss"] == pytest.approx(sum(row[f"val_q{n}"] for n in (1, 2, 3, 4)) / 4, rel=1e-4)
    assessment = control.snapshot()["validation"]
    assert assessment["kind"] in ("learning", "memorises", "diverges") and assessment["sentence"]
    assert json.loads((control.folder / "status.json").read_text())["validation"] == assessment


def test_only_learning_moves_the_measure(host, tmp_path):
    """The same weights at another step, seed and order give the same loss; nothing of chance is in it."""
    own, losses = pictures(tmp_path / "1_ron", 4), []
    for seed in (1, 2):
        frozen = settings(own, f"run{seed}", **MEASURING, train={"max_train_steps": 4, "seed": seed, "optimizer": "SGDNesterov"},
                          lora={"unet_lr": 1e-12, "text_encoder_lr": 0}, noise={"noise_offset": 0.1, "ip_noise_gamma": 0.1})
        losses += [row["val_loss"] for row in rows(train(host, frozen))]
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-4)


def test_a_folder_of_its_own_is_measured_and_never_trained(host, tmp_path):
    own, aside, same = pictures(tmp_path / "1_ron", 3), pictures(tmp_path / "aside", 2, (120, 128), seed=1), tmp_path / "same"
    shutil.copytree(own, same)
    shutil.copy(own / "0.png", aside / "again.png")
    control = train(host, settings(own, validation={"images": str(aside), "every_n_steps": 3}))
    assert len(rows(control)) == 2
    assert {row["file"] for row in per_image_loss.read(control.folder)["pictures"]} == {"0.png", "1.png", "2.png"}
    with pytest.raises(UserError, match="trained on as well"):
        train(host, settings(own, "other", validation={"images": str(same)}))
    with pytest.raises(UserError, match=r"validation\.images"):
        train(host, settings(own, "third", validation={"images": str(own)}))


def test_a_learning_rate_far_too_high_is_told(tmp_path):
    """One picture trained, another kept aside, on the embedded model: it gets worse from early on, and the run says where."""
    host, own = EmbeddedHost(tmp_path / "data"), tmp_path / "1_ron"
    own.mkdir()
    for name in ("01.png", "01.txt", "02.png", "02.txt"):
        shutil.copy(EXAMPLE / name, own)
    config = {"name": "ron", "concepts": [{"images": str(own)}], "train": {"max_train_steps": 24},
              "lora": {"dim": 8, "alpha": 8, "conv_dim": 0, "unet_lr": 5e-2, "text_encoder_lr": 0},
              "validation": {"split": 0.5, "every_n_steps": 4}}
    control = train(host, Config.from_dict(config, host.defaults(Model())))
    assessment = control.snapshot()["validation"]
    assert assessment["kind"] in ("memorises", "diverges") and assessment["step"] <= 16 and f"step {assessment['step']}" in assessment["sentence"]


def test_the_board_survives_an_interruption(tmp_path):
    own, boards = pictures(tmp_path / "3_ron"), []
    config = settings(own, train={"max_train_steps": 12})

    def stop(control):
        if control.state == "training" and control.step == 5:
            control.request("interrupt")

    whole, broken = TinyHost(tmp_path / "whole"), TinyHost(tmp_path / "broken")
    train(whole, config)
    train(broken, config, watch=stop)
    train(broken, config, resume=True)
    for host in (whole, broken):
        boards.append(per_image_loss.read(host.folder("sdtune") / "runs" / "ron"))
    assert boards[0] == boards[1] and boards[0]["step"] == 12
    assert sum(row["shown"] for row in boards[0]["pictures"]) == 12


def test_a_prompts_own_settings_and_what_samples_cost(host, tmp_path):
    own = pictures(tmp_path / "1_ron")
    lines = ["# mine", "ron --n dog --w 64 --h 96 --d 5 --l 3 --s 4", "cat"]
    control = train(host, settings(own, sample={"every_n_steps": 2, "seed": 9, "prompts": lines}))
    first, second = host.asked[:2]
    assert first == SampleRequest("ron", "dog", 4, 3, 5, 64, 96)
    assert (second.prompt, second.seed, second.width) == ("cat", 9, 128)
    control.time.spent, control.time.times = {"training": 89.0, "samples": 11.0}, {"training": 9}
    assert control.snapshot()["overhead"] == "" and control.snapshot()["shares"] == {}  # the first samples alone say nothing
    control.time.times["training"] = 10
    assert control.snapshot()["overhead"] == "samples take 11 % of the time"


def test_tensorboard_reads_the_curves(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    written = log_csv.LogCsv(tmp_path)
    written.write({"step": 1, "loss": 0.5, "lr": 1e-4})
    written.write({"step": 2, "loss": 0.4, "lr": 1e-4, "val_loss": 0.45, "fit_loss": 0.4})
    written.close()

    def scalars(*folders):
        events = EventAccumulator(str(tmp_path.joinpath("tensorboard", *folders)))
        events.Reload()
        return {tag: [(event.step, round(event.value, 3)) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}

    assert scalars() == {"loss": [(1, 0.5), (2, 0.4)], "lr": [(1, 0.0), (2, 0.0)]}
    assert scalars("kept aside") == {"measured loss": [(2, 0.45)]} and scalars("trained") == {"measured loss": [(2, 0.4)]}


def test_each_measured_curve_has_a_folder_of_its_own_named_as_in_the_report(tmp_path):
    written = log_csv.LogCsv(tmp_path)
    written.write({"step": 1, "loss": 0.5, "val_loss": 0.45, "class_loss": 0.3})
    written.close()
    folders = sorted(path.parent.relative_to(tmp_path / "tensorboard").as_posix() for path in (tmp_path / "tensorboard").rglob("*.sdtune"))
    assert folders == [".", "class", "kept aside"] and set(tensorboard.MEASURED.values()) <= set(line_chart.CURVES)


def test_of_several_processes_the_first_alone_writes_the_log(tmp_path):
    written = log_csv.LogCsv(tmp_path)
    log_csv.LogCsv(tmp_path, writes=False).close()
    written.write({"step": 1, "epoch": 1, "loss": 0.5, "lr": 1e-4, "seconds": 1.0})
    written.close()
    assert [row["step"] for row in log_csv.read(tmp_path / "log.csv")] == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "tensorboard"]


def test_a_tag_that_the_host_passes_over_is_told_once_by_name(tmp_path, caplog):
    class Forgiving(TinyHost):
        def unknown_tags(self, prompt):
            return ["<lora:ronn>"] if "<lora:ronn" in prompt else []

    host, images = Forgiving(tmp_path / "data"), pictures(tmp_path / "10_ron", 1)
    prompts = ["a cat <lora:ronn:1>", "a dog <lora:ronn:1>", "a dog"]
    config = settings(images, train={"max_train_steps": 1}, sample={"prompts": prompts, "width": 64, "height": 64})
    control = train(host, config)
    notes = [note for note in control.snapshot()["notes"] if "<lora:ronn>" in note]
    assert len(notes) == 1 and notes[0].startswith('"sample.prompts" has <lora:ronn>')
    assert "<lora:ronn>" in (control.folder / "run.log").read_text()
