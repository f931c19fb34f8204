"""A whole LoRA run on a tiny model: what it leaves behind, and what it does not touch."""

import hashlib
import json
import shutil

import pytest
import torch
from safetensors import safe_open

from lib_sdtune.config import Config
from lib_sdtune.data.inspect import findings
from lib_sdtune.data.loader import Dataset
from lib_sdtune.data.scan import scan
from lib_sdtune.errors import NameTaken, RunError, UserError
from lib_sdtune.training import runs, state
from lib_sdtune.training.recipe import recipe
from tests.hosts import TinyHost, bits, pictures, resumed, settings, train
from tests.models import tiny_sd1


def opened(path):
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def test_a_run_leaves_a_lora_its_card_its_log_and_an_untouched_model(tmp_path, images):
    host = TinyHost(tmp_path / "data", tiny_sd1)
    before = bits(host.model)
    control = train(host, settings(images))
    assert control.snapshot()["state"] == "finished" and control.snapshot()["step"] == 6
    tensors, metadata = opened(host.folder("lora") / "ron.safetensors")
    assert len(tensors) == 3 * (192 + 3 * 6) and metadata["ss_output_name"] == "ron"
    assert any(tensors[name].count_nonzero() for name in tensors if "up.weight" in name)
    card = json.loads((host.folder("lora") / "ron.json").read_text())
    assert card["activation text"] == "a photo of ron cat" and card["sd version"] == "SD1"
    folder = host.folder("sdtune") / "runs" / "ron"
    assert len((folder / "log.csv").read_text().splitlines()) == 7
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    assert json.loads((folder / "config.json").read_text())["train"]["optimizer"] == "AdamW"
    after = bits(host.model)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all("forward" not in module.__dict__ for _, part in host.model.modules() for module in part.modules())
    assert [artefact.tag for artefact in host.published] == ["<lora:ron:1>"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(the folder of its pictures, the data folder) of a run of the usual settings, for tests that change neither."""
    place = tmp_path_factory.mktemp("finished")
    train(TinyHost(place / "data"), settings(pictures(place / "10_ron")))
    return place / "10_ron", place / "data"


@pytest.fixture
def copied(finished, tmp_path):
    """The same with a data folder of the test's own: (pictures, a host)."""
    images, data = finished
    shutil.copytree(data, tmp_path / "copied")
    return images, TinyHost(tmp_path / "copied")


def test_metadata_speaks_the_readers_language_and_tells_no_paths(finished):
    images, data = finished
    lora = data / "models/Lora/ron.safetensors"
    _, metadata = opened(lora)
    assert metadata["ss_base_model_version"] == "sd_v1" and metadata["ss_v2"] == "False"
    assert json.loads(metadata["ss_tag_frequency"])["10_ron"]["a cat"] == 3
    assert json.loads(metadata["ss_dataset_dirs"])["10_ron"] == {"n_repeats": 10, "img_count": 3}
    assert json.loads(metadata["ss_bucket_info"])["buckets"]["0"]["resolution"] == [128, 128]
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert metadata["ss_mixed_precision"] == "no" and metadata["ss_optimizer"] == "AdamW"
    assert not any(str(images.parent) in value for value in metadata.values())
    content = lora.read_bytes()
    body = content[8 + int.from_bytes(content[:8], "little"):]
    assert metadata["sshs_model_hash"] == hashlib.sha256(body).hexdigest() and len(metadata["sshs_legacy_hash"]) == 8


def test_metadata_tells_no_path_of_a_template(tmp_path, images, host):
    template = tmp_path / "cats.txt"
    template.write_text("a photo of [name]\na picture of [name]", encoding="utf-8")
    changes = {"concepts": [{"images": str(images), "prompt": str(template)}], "train": {"max_train_steps": 1}}
    train(host, settings(images, **changes))
    _, metadata = opened(host.folder("lora") / "ron.safetensors")
    assert json.loads(metadata["sdtune_config"])["concepts"][0]["prompt"] == "cats.txt"
    assert not any(str(tmp_path) in value for value in metadata.values())


def test_the_same_config_gives_the_same_bytes(finished, host):
    images, data = finished
    train(host, settings(images))
    assert (host.folder("lora") / "ron.safetensors").read_bytes() == (data / "models/Lora/ron.safetensors").read_bytes()


@pytest.mark.parametrize("changes", [
    {}, {"train": {"gradient_accumulation_steps": 2, "batch_size": 2, "optimizer": "Lion", "lr_scheduler": "cosine", "max_train_steps": 6}},
    {"dataset": {"flip_aug": True, "random_crop": True, "caption_tag_dropout_rate": 0.5, "shuffle_caption": True}},
    {"noise": {"noise_offset": 0.1, "multires_noise_iterations": 3, "ip_noise_gamma": 0.1}, "lora": {"text_encoder_lr": 0}}])
def test_stopping_and_resuming_gives_the_same_bytes(images, tmp_path, changes):
    whole, broken = resumed(tmp_path, settings(images, **changes))
    assert (whole.folder("lora") / "ron.safetensors").read_bytes() == (broken.folder("lora") / "ron.safetensors").read_bytes()
    logs = [(h.folder("sdtune") / "runs/ron/log.csv").read_text().splitlines() for h in (whole, broken)]
    assert [line.split(",")[:3] for line in logs[0]] == [line.split(",")[:3] for line in logs[1]]


def test_stop_keeps_what_was_learned(host, images):
    def stop_at_two(control):
        if control.state == "training" and control.step == 2:
            control.request("stop")

    control = train(host, settings(images), watch=stop_at_two)
    assert control.state == "stopped" and control.step == 2
    assert opened(host.folder("lora") / "ron.safetensors")[1]["ss_steps"] == "2"


def test_intermediate_files_and_samples(host, tmp_path):
    few = pictures(tmp_path / "2_few")
    control = train(host, settings(few, train={"max_train_steps": 0, "max_train_epochs": 2}, save={"every_n_epochs": 1, "every_n_steps": 4},
                                   sample={"every_n_steps": 5, "prompts": ["ron cat", "a dog"]}))
    names = sorted(path.name for path in host.folder("lora").glob("*.safetensors"))
    assert names == ["ron-000001.safetensors", "ron-step00000004.safetensors", "ron-step00000008.safetensors", "ron.safetensors"]
    assert opened(host.folder("lora") / "ron-000001.safetensors")[1]["ss_output_name"] == "ron-000001"
    assert [path.replace("\\", "/").split("samples/")[1] for path in control.samples] == [
        "step00000005-00.png", "step00000005-01.png", "step00000010-00.png", "step00000010-01.png"]
    assert (host.folder("lora") / "ron.preview.png").exists()
    assert [request.prompt for request in host.asked][:2] == ["ron cat", "a dog"]


def test_samples_show_the_last_step_too_and_steps_keep_their_name_where_an_epoch_ends(host, tmp_path):
    four = pictures(tmp_path / "four", 4)
    train(host, settings(four, train={"max_train_steps": 8}, save={"every_n_steps": 2}, sample={"every_n_epochs": 1, "prompts": ["ron"]}))
    assert sorted(path.name for path in host.folder("lora").glob("*.safetensors")) == [
        "ron-step00000002.safetensors", "ron-step00000004.safetensors", "ron-step00000006.safetensors", "ron.safetensors"]
    samples = sorted((host.folder("sdtune") / "runs" / "ron" / "samples").iterdir())
    assert [path.name for path in samples] == ["step00000004-00.png", "step00000008-00.png"]
    train(host, settings(four, "both", train={"max_train_steps": 8}, save={"every_n_steps": 4, "every_n_epochs": 1}))
    assert sorted(path.name for path in host.folder("lora").glob("both*.safetensors")) == [
        "both-000001.safetensors", "both-step00000004.safetensors", "both.safetensors"]


@pytest.mark.parametrize("precision, alpha, dtypes", [("fp16", 2, {torch.float16}), ("bf16", 0.1, {torch.bfloat16, torch.float32})])
def test_the_file_is_in_its_precision_but_for_an_alpha_that_this_would_change(host, images, precision, alpha, dtypes):
    train(host, settings(images, lora={"alpha": alpha}, save={"precision": precision}, train={"max_train_steps": 1}))
    tensors, _ = opened(host.folder("lora") / "ron.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == dtypes
    assert {round(float(tensor), 6) for name, tensor in tensors.items() if name.endswith(".alpha")} == {alpha}


def test_a_name_in_use_is_refused_and_overwriting_is_allowed_when_asked(copied):
    images, host = copied
    content = (host.folder("lora") / "ron.safetensors").read_bytes()
    with pytest.raises(NameTaken, match=r"ron\.safetensors exists"):
        train(host, settings(images, train={"seed": 7}))
    assert (host.folder("lora") / "ron.safetensors").read_bytes() == content
    train(host, settings(images, train={"seed": 7}, overwrite=True))
    assert (host.folder("lora") / "ron.safetensors").read_bytes() != content


def test_a_run_that_can_be_resumed_is_told_before_the_files_that_it_saved_on_its_way(host, images):
    stopped(host, images, save={"every_n_steps": 2})
    assert (host.folder("lora") / "ron-step00000002.safetensors").exists()
    with pytest.raises(NameTaken, match=r"can be resumed\. Resume it"):
        train(host, settings(images))


def stopped(host, images, at=3, **changes):
    def stop(control):
        if control.state == "training" and control.step == at:
            control.request("stop_without_saving")

    return train(host, settings(images, **changes), watch=stop)


@pytest.mark.parametrize("change", ["added", "gone", "other"])
def test_resume_refuses_other_pictures(host, images, change):
    stopped(host, images)
    if change == "added":
        (images / "9.png").write_bytes((images / "1.png").read_bytes() + b" ")
    elif change == "gone":
        (images / "1.png").unlink()
    else:
        (images / "1.png").write_bytes((images / "1.png").read_bytes() + b" ")
    with pytest.raises(UserError, match="pictures are not those"):
        train(host, settings(images), resume=True)


def test_resume_goes_on_with_new_captions_and_says_so(host, images):
    stopped(host, images)
    (images / "1.txt").write_text("another")
    control = train(host, settings(images), resume=True)
    assert control.state == "finished" and "captions have changed" in (control.folder / "run.log").read_text()


def test_a_damaged_state_gives_way_to_the_one_before(finished, host):
    images, data = finished
    folder = stopped(host, images, at=5).folder
    older, newer = sorted((folder / "state").iterdir())
    newer.write_bytes(newer.read_bytes()[:1000])
    assert state.newest(folder) == older
    train(host, settings(images), resume=True)
    assert (data / "models/Lora/ron.safetensors").read_bytes() == (host.folder("lora") / "ron.safetensors").read_bytes()


def test_a_damaged_config_is_told_and_hides_no_other_run(host, images):
    folder = stopped(host, images).folder
    train(host, settings(images, "second"))
    (folder / "config.json").write_text("{")
    assert {run.path.name: bool(run.problem()) for run in runs.all_runs(host)} == {folder.name: True, "second": False}
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        train(host, settings(images), resume=True)


def test_resume_refuses_nothing_to_resume(host, images):
    with pytest.raises(UserError, match="nothing to resume"):
        train(host, settings(images), resume=True)


def test_resume_refuses_a_changed_config_by_key(copied):
    images, host = copied
    with pytest.raises(UserError, match=r'"lora\.dim" was 4'):
        train(host, settings(images, lora={"dim": 8}), resume=True)


def test_a_run_that_an_earlier_version_began_is_resumed(host, images):
    path = stopped(host, images).folder / "config.json"
    settings_then = json.loads(path.read_text())
    del settings_then["lora"]["train_norm"], settings_then["concepts"][0]["conditioning_data_dir"], settings_then["noise"]
    path.write_text(json.dumps(settings_then))
    with pytest.raises(UserError, match=r'"lora\.train_norm" was false'):
        train(host, settings(images, lora={"train_norm": True}), resume=True)
    assert train(host, settings(images), resume=True).state == "finished"


def test_a_run_whose_bucket_sides_did_not_follow_the_resolution_is_resumed(host, images):
    """Earlier versions kept them; a side that is set now counts."""
    own = settings(images) | {"dataset": {"resolution": 128}}
    path = stopped(host, images).folder / "config.json"
    settings_then = json.loads(path.read_text())
    settings_then["dataset"] |= {"min_bucket_reso": 32, "max_bucket_reso": 512}
    path.write_text(json.dumps(settings_then))
    with pytest.raises(UserError, match=r'"dataset\.max_bucket_reso" was 512'):
        train(host, own | {"dataset": {"resolution": 128, "max_bucket_reso": 256}}, resume=True)
    assert train(host, own, resume=True).state == "finished"


def test_a_finished_run_can_be_trained_longer(copied):
    images, host = copied
    longer = train(host, settings(images, train={"max_train_steps": 9}, overwrite=True), resume=True)
    assert longer.step == 9 and state.load(state.newest(longer.folder))[1]["step"] == 9


def test_numbers_that_overflow_are_skipped_then_end_the_run_with_the_good_state_kept(host, images):
    control = None

    def poison(seen):
        nonlocal control
        control = seen
        if seen.state == "training" and seen.step == 2:
            with torch.no_grad():
                host.model.unet.out[2].bias.fill_(float("nan"))

    with pytest.raises(RunError, match="10 steps in a row"):
        train(host, settings(images, train={"max_train_steps": 40}), watch=poison)
    assert control.state == "failed" and not (host.folder("lora") / "ron.safetensors").exists()
    learned, rest = state.load(sorted((control.folder / "state").glob("*"))[0])
    assert rest["step"] == 2 and all(torch.isfinite(tensor).all() for tensor in learned.values())


def test_pause_gives_the_bare_model_back_and_goes_on(host, images):
    seen = []

    def watch(control):
        if control.state == "training" and control.step == 2 and not seen:
            seen.append("asked")
            control.request("pause")
        if control.state == "paused" and len(seen) == 1:
            seen.append(any("forward" in m.__dict__ for m in host.model.unet.modules()))
            control.request("resume")

    control = train(host, settings(images), watch=watch)
    assert control.state == "finished" and control.step == 6


def test_a_run_that_is_resumed_while_a_sample_is_made_says_that_it_trains(host, images):
    """Pause, sample, resume before the sample is there: it could not be paused again."""
    asked, states = [], []

    def watch(control):
        if control.step == 2 and not asked:
            asked.extend(("pause", "sample"))
            control.request("pause")
            control.request("sample")
        elif control.state == "paused" and control.samples and len(asked) == 2:
            asked.append("resume")
            control.request("resume")
        elif control.step > 2:
            states.append(control.state)

    sample = {"prompts": ["a cat"], "every_n_steps": 0, "steps": 1, "width": 64, "height": 64}
    control = train(host, settings(images, sample=sample), watch=watch)
    assert len(asked) == 3 and control.state == "finished" and set(states) == {"training", "finished"}


def test_watchers_hear_what_is_prepared_of_what_and_how_many_epochs_there_are(host, images):
    heard = []
    train(host, settings(images, train={"max_train_steps": 6, "batch_size": 8}), watch=lambda control: heard.append(control.snapshot()))
    phases = [(seen["phase"], seen["phase_done"], seen["phase_total"]) for seen in heard if "phase" in seen]
    assert ("reading pictures", 3, 3) in phases and ("encoding pictures", 2, 3) in phases
    assert all(seen["state"] == "preparing" for seen in heard if "phase" in seen)
    assert {seen["epochs"] for seen in heard if seen["state"] == "training"} == {2}  # 30 showings make 4 steps an epoch
    assert heard[-1]["epoch"] == 2 and (heard[-1]["model"], heard[-1]["family"]) == (host.model.name, "SD1")


def test_stop_in_the_middle_of_the_preparation(host, images):
    def stop_at_once(control):
        if control.state == "preparing":
            control.request("stop")

    control = train(host, settings(images), watch=stop_at_once)
    assert control.state == "stopped" and not (host.folder("lora") / "ron.safetensors").exists()


@pytest.mark.parametrize("split, count", [(0.3, 1), (0.0, 0)])
def test_a_share_that_keeps_no_picture_aside_is_told(host, tmp_path, caplog, split, count):
    images = pictures(tmp_path / "pics", count=1)
    shutil.copy(images / "0.png", images / "copy.png")
    train(host, settings(images, validation={"split": split}, train={"max_train_steps": 1}))
    assert sum('"validation.split" is 0.3' in record.getMessage() for record in caplog.records) == count
    config = Config.from_dict(settings(images, validation={"split": split}, train={"stop": "auto"}))
    scanned = scan(config.concepts, config.dataset, config.loss, tmp_path)
    assert sum(problem.kind == "none kept aside" for problem in findings(scanned, config)) == count
    assert "the loss of the pictures no longer" in recipe(config, Dataset(scanned, config))


@pytest.mark.parametrize("changes, key", [({"lr_warmup_steps": 1000}, "lr_warmup_steps"),
                                          ({"lr_scheduler": "warmup_stable_decay", "lr_decay_steps": 500}, "lr_decay_steps")])
def test_a_schedule_that_does_not_fit_the_epochs_is_refused_once_their_steps_are_known(host, images, changes, key):
    with pytest.raises(UserError, match=f'"train.{key}" .* 60 steps'):
        train(host, settings(images, train={"max_train_epochs": 2, **changes}))
    assert host.model and not (host.folder("lora") / "ron.safetensors").exists()


def test_validation_is_measured_on_pictures_that_are_not_trained_on(host, images):
    control = train(host, settings(images, validation={"split": 0.34, "every_n_steps": 3}))
    rows = (control.folder / "log.csv").read_text().splitlines()
    column = rows[0].split(",").index("val_loss")
    measured = [row.split(",")[column] for row in rows[1:]]
    assert [bool(value) for value in measured] == [False, False, True, False, False, True]


def test_metadata_counts_the_pictures_that_train_and_names_the_checkpoint_by_its_whole_hash(host, images):
    host.model.sha256 = "ab" * 32
    train(host, settings(images, validation={"split": 0.34}, train={"optimizer_args": {"weight_decay": 0.1}, "max_train_steps": 1}))
    _, metadata = opened(host.folder("lora") / "ron.safetensors")
    assert metadata["ss_new_sd_model_hash"] == "ab" * 32
    assert metadata["ss_num_train_images"] == "20" and metadata["ss_optimizer"] == "AdamW(weight_decay=0.1)"
    assert json.loads(metadata["ss_dataset_dirs"])["10_ron"] == {"n_repeats": 10, "img_count": 2}
    assert json.loads(metadata["ss_tag_frequency"])["10_ron"]["a cat"] == 2


def test_gradient_checkpointing_changes_memory_not_the_result(images, tmp_path):
    files = []
    for setting in ("on", "off"):
        host = TinyHost(tmp_path / setting)
        train(host, settings(images, train={"gradient_checkpointing": setting}))
        files.append(opened(host.folder("lora") / "ron.safetensors")[0])
    assert all(torch.allclose(files[0][name], files[1][name], atol=1e-6) for name in files[0])
