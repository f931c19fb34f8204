"""Runs of every family on a small model: killed and gone on with, they are the same run."""

from pathlib import Path

import pytest

from tests.hosts import TinyHost, settings, train
from tests.models import TINY

CHANGES = {"lora": {"lora": {"dim": 4, "alpha": 2, "unet_lr": 1e-3, "text_encoder_lr": 1e-3}},
           "dreambooth": {"dreambooth": {"unet_lr": 1e-3, "text_encoder_lr": 1e-3}},
           "textual_inversion": {"textual_inversion": {"token": "ron", "lr": 0.1}}}


def stop_at_three(control):
    if control.state == "training" and control.step == 3:
        control.request("stop_without_saving")


@pytest.mark.parametrize("family", ["sd2", "sdxl"])
@pytest.mark.parametrize("method", CHANGES)
def test_a_run_that_is_gone_on_with_is_the_same_run(family, method, tmp_path, images):
    def run(folder, stop):
        host = TinyHost(tmp_path / folder)
        host.model = TINY[family]()
        host.model.folder = host.folder
        config = settings(images, method=method, **CHANGES[method])
        if stop:
            assert train(host, config, watch=stop_at_three).state == "stopped"
        control = train(host, config, resume=stop)
        assert control.state == "finished"
        return Path(control.artefacts[0]).read_bytes()

    whole = run("whole", False)
    assert whole and whole == run("broken", True)
