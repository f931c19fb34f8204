"""A model that was just trained is chosen in the WebUI like any other, and the one it was made from is still what it was."""

import os
from pathlib import Path

import pytest
import webui_probe
from safetensors.torch import load_file

from tests.hosts import pictures

REAL = "SDTUNE_WEBUI_DIR" in os.environ


def choose(info):
    from modules import sd_models, shared

    shared.opts.data["sd_model_checkpoint"] = info.title
    sd_models.reload_model_weights(info=info)


@pytest.mark.skipif(not REAL, reason="needs the WebUI's own loader")
def test_the_new_checkpoint_is_listed_loaded_and_drawn_with(host, tmp_path):
    from modules import sd_models, shared

    from lib_sdtune.config import Config
    from lib_sdtune.training.run import run
    from lib_sdtune.training.runs import begin

    plain, old = webui_probe.draw(seed=5), shared.sd_model.sd_checkpoint_info
    images = pictures(tmp_path / "ron", count=2, size=(64, 64))
    config = Config.from_dict({
        "name": "fresh", "method": "dreambooth", "overwrite": True, "concepts": [{"images": str(images), "prompt": "a photo of ron"}],
        "dataset": {"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 128}, "dreambooth": {"unet_lr": 1e-3},
        "train": {"max_train_steps": 2}})
    artefact = run(config, host, begin(config, host))
    try:
        assert (webui_probe.draw(seed=5) == plain).all()
        fresh = sd_models.get_closet_checkpoint_match("fresh")
        assert fresh is not None and Path(fresh.filename) == artefact.path
        choose(fresh)
        assert (webui_probe.draw(seed=5) != plain).any()
        choose(old)
        assert (webui_probe.draw(seed=5) == plain).all()
        own, source = (load_file(path) for path in (artefact.path, old.filename))
        weights = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.")
        assert {name for name in own if name.startswith(weights)} >= {name for name in source if name.startswith(weights)} - {
            "cond_stage_model.transformer.text_model.embeddings.position_ids"}
        assert all(own[name].shape == source[name].shape for name in own if name in source)
    finally:
        for path in artefact.path.parent.glob("fresh*"):
            path.unlink()
        sd_models.list_models()
