"""Files that a run writes on its way: their names, which are kept, and the one that is never overwritten."""

import os
from types import SimpleNamespace

import pytest

from lib_sdtune.config import Config
from lib_sdtune.errors import NothingLearned, UserError
from lib_sdtune.formats.files import write_json
from lib_sdtune.training.results import Results
from lib_sdtune.training.runs import begin
from lib_sdtune.training.step_result import Step
from lib_sdtune.training.trainer import Trainer
from tests.hosts import pictures, settings


class Method:
    kind, suffix, room = "checkpoints", ".safetensors", {"state": 100, "file": 1000, "once": 7}

    def export(self, path, metadata):
        path.write_bytes(path.name.encode())

    def disk_bytes(self):
        return self.room


def results(tmp_path, model_path=None, **sections):
    config = Config.from_dict({"name": "ron", "concepts": [{"images": "x"}], **sections})
    folder, model = tmp_path / "run", SimpleNamespace(path=model_path, folder=lambda kind: tmp_path)
    folder.mkdir(exist_ok=True)
    made = Results(config, model, Method(), SimpleNamespace(steps_per_epoch=5), folder)
    made.metadata = lambda stem, step: {}
    return made


def names(tmp_path):
    return sorted(path.stem for path in tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize(("save", "step", "epoch", "stems"), [
    ({"every_n_epochs": 2}, 20, 4, ["ron-000004"]), ({"every_n_steps": 10}, 20, 4, ["ron-step00000020"]),
    ({"every_n_epochs": 2, "every_n_steps": 10}, 20, 4, ["ron-000004", "ron-step00000020"]),
    ({"every_n_epochs": 2, "every_n_steps": 15}, 20, 4, ["ron-000004"]),
    ({"every_n_epochs": 3}, 20, 4, ["ron-step00000020"]), ({"every_n_epochs": 2}, 21, None, ["ron-step00000021"])])
def test_a_file_is_named_after_the_epoch_or_the_step_that_it_is_due_at(tmp_path, save, step, epoch, stems):
    """Where neither is due somebody has wished for it."""
    written = results(tmp_path, save=save).save(tmp_path, step, epoch)
    assert [path.stem for path in written] == stems and names(tmp_path) == sorted(stems)


def aged(path, seconds):
    os.utime(path, (seconds, seconds))


def test_the_last_that_were_saved_are_kept_whatever_their_names(tmp_path):
    saving = results(tmp_path, save={"every_n_epochs": 1, "every_n_steps": 7, "keep_last": 2})
    for age, (step, epoch) in enumerate([(5, 1), (7, None), (10, 2)], 1):
        for path in saving.save(tmp_path, step, epoch):
            aged(path, age)
    assert names(tmp_path) == ["ron-000002", "ron-step00000007"]
    saving.save(tmp_path, 14, None)
    assert names(tmp_path) == ["ron-000002", "ron-step00000014"]


def test_a_file_that_is_saved_again_counts_once(tmp_path):
    saving = results(tmp_path, save={"every_n_steps": 1, "keep_last": 2})
    for step in (1, 2, 2):
        saving.save(tmp_path, step, None)
    assert names(tmp_path) == ["ron-step00000001", "ron-step00000002"]


def test_only_this_runs_own_files_are_forgotten_and_never_the_final_one(tmp_path):
    (tmp_path / "run").mkdir()
    mine, final, others = (tmp_path / f"ron{end}.safetensors" for end in ("-step00000001", "", "-step00000009"))
    for age, path in enumerate((final, mine, others), 1):
        path.write_bytes(b"earlier")
        aged(path, age)
    write_json(tmp_path / "run" / "status.json", {"artefacts": [str(mine), str(final)]})
    results(tmp_path, save={"every_n_steps": 1, "keep_last": 1}).save(tmp_path, 2, None)
    assert names(tmp_path) == ["ron", "ron-step00000002", "ron-step00000009"]


def test_where_nothing_is_learned_yet_nothing_is_saved_and_the_run_goes_on(tmp_path, caplog):
    saving = results(tmp_path, save={"every_n_steps": 1})

    def nothing(path, metadata):
        raise NothingLearned("The LoRA learned nothing.")

    saving.method.export = nothing
    assert saving.save(tmp_path, 3, None) == [] and "step 3: nothing was saved. The LoRA learned nothing." in caplog.text


def step(number, last=False):
    return Step(number, 1, False, last, 0.0, 0.0, 0.0, 0)


def test_what_was_due_and_is_not_there_is_missing(tmp_path):
    never = SimpleNamespace(is_planned=lambda step: False)
    saving = results(tmp_path, save={"every_n_steps": 2})
    assert saving.missing(step(4), never) and not saving.missing(step(5), never) and not saving.missing(step(4, last=True), never)
    saving.save(tmp_path, 4, None)
    assert not saving.missing(step(4), never)


def source(tmp_path, kind):
    """The checkpoint that is trained, in a place that `ron.safetensors` also is."""
    path = tmp_path / ("ron.safetensors" if kind == "itself" else "base.safetensors")
    path.write_bytes(b"base")
    if kind == "link":
        (tmp_path / "ron.safetensors").symlink_to(path)
    elif kind == "hard link":
        os.link(path, tmp_path / "ron.safetensors")
    return path


@pytest.mark.parametrize("kind", ["itself", "hard link", pytest.param("link", marks=pytest.mark.skipif(
    os.name == "nt", reason="Windows makes no links without a privilege"))])
def test_the_checkpoint_that_is_trained_is_never_the_file_that_is_written(tmp_path, kind):
    with pytest.raises(UserError, match="ron.safetensors is the checkpoint that would be trained, and it is never overwritten"):
        results(tmp_path, source(tmp_path, kind)).refuse_own_source()


def test_another_checkpoint_of_the_name_is_no_source(tmp_path):
    (tmp_path / "ron.safetensors").write_bytes(b"an earlier result")
    results(tmp_path, source(tmp_path, "another")).refuse_own_source()
    results(tmp_path, tmp_path / "gone.safetensors").refuse_own_source()


def test_a_run_that_may_overwrite_refuses_to_write_over_its_own_checkpoint(host, tmp_path):
    host.model.folder, host.model.path = host.folder, host.folder("checkpoints") / "ron.safetensors"
    host.model.path.parent.mkdir(parents=True)
    host.model.path.write_bytes(b"base")
    config = Config.from_dict(settings(pictures(tmp_path / "1_ron", 1), method="dreambooth", overwrite=True))
    with pytest.raises(UserError, match="never overwritten"):
        Trainer(config, host.model, begin(config, host))
    assert host.model.path.read_bytes() == b"base"
