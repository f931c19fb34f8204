"""What is asked of the disk before a run begins."""

import pytest

from lib_sdtune.config import Config
from lib_sdtune.training import results
from lib_sdtune.training.runs import begin
from lib_sdtune.training.trainer import Trainer
from tests.hosts import pictures, settings


@pytest.mark.parametrize(("changes", "states", "files"), [
    ({"save": {"state_every_n_steps": 0}}, 1, 1), ({"save": {"state_every_n_steps": 100}}, 1, 1),
    ({"save": {"state_every_n_steps": 1}}, 3, 1), ({"save": {"state_every_n_steps": 5}}, 2, 1),
    ({"save": {"state_every_n_steps": 0, "every_n_steps": 2}}, 3, 4),
    ({"save": {"state_every_n_steps": 0, "every_n_steps": 2, "keep_last": 1}}, 3, 2),
    ({"save": {"state_every_n_steps": 0}, "sample": {"every_n_steps": 1}}, 3, 1)])
def test_there_must_be_room_for_what_is_written_and_no_more(host, tmp_path, monkeypatch, changes, states, files):
    asked = []
    monkeypatch.setattr(results, "refuse_too_little_disk", asked.append)
    changes = {"sample": {"every_n_steps": 0}, "train": {"max_train_steps": 6}} | changes
    config = Config.from_dict(settings(pictures(tmp_path / "1_ron", count=1), **changes))
    trainer = Trainer(config, host.model, begin(config, host))
    sizes = trainer.method.disk_bytes()
    state = sizes["state"] + trainer.optimizer_step.bytes()
    assert [need for _, need in asked[0]] == [states * state + sizes["once"], files * sizes["file"]]
