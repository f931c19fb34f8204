"""DreamBooth on the running WebUI: its own model learns in place, and is as it was for everybody else."""

import pytest


@pytest.fixture
def dream(config, tmp_path):
    concept = config["concepts"][0] | {"class_images": str(tmp_path / "class"), "class_prompt": "a photo of a cat", "num_class_images": 2}
    return config | {"name": "live-dream", "method": "dreambooth", "concepts": [concept], "sample": {"steps": 2, "every_n_steps": 3},
                     "dreambooth": {"unet_lr": 0.002, "lora_dim": 4, "weights": "bfloat16"}, "train": {"max_train_steps": 6}}


def loaded(webui):
    return webui.call("/sdapi/v1/options")[1]["sd_model_checkpoint"]


def test_the_checkpoint_is_made_used_and_taken_back(webui, dream, tmp_path):
    before, first = webui.draw("a photo of ron"), loaded(webui)
    assert webui.tune("/runs", dream)[0] == 201
    webui.until("live-dream", lambda run: run["step"] >= 2)
    assert webui.draw("a photo of ron") == before, "in between everybody has the original model"
    run = webui.until("live-dream", lambda run: run["state"] == "finished")
    assert len(list((tmp_path / "class").glob("*.png"))) == 2
    assert [path.rpartition("/")[2] for path in run["artefacts"]] == ["live-dream.safetensors"] * 2
    assert webui.draw("a photo of ron") == before
    assert webui.draw("a photo of ron <lora:live-dream:1>") != before and webui.draw("a photo of ron") == before
    titles = [entry["title"] for entry in webui.call("/sdapi/v1/sd-models")[1]]
    chosen = next(title for title in titles if title.startswith("live-dream"))
    try:
        assert webui.call("/sdapi/v1/options", {"sd_model_checkpoint": chosen})[0] == 200
        assert webui.draw("a photo of ron") != before
    finally:
        webui.call("/sdapi/v1/options", {"sd_model_checkpoint": first})
    assert webui.draw("a photo of ron") == before


def test_two_steps_are_measured_and_leave_no_trace(webui, dream):
    before, runs = webui.draw("a photo of ron"), webui.tune("/runs")[1]
    guess = webui.tune("/memory", dream)[1]
    assert not guess["measured"] and guess["needs"] > 0
    assert webui.tune("/measure", dream)[0] == 200
    webui.wait(lambda: webui.tune("/measure")[1]["work"]["state"] not in ("waiting", "working"))
    measurement = webui.tune("/measure")[1]["found"]
    assert measurement["measured"] and measurement["fits"] and measurement["seconds"] > 0
    assert webui.draw("a photo of ron") == before and webui.tune("/runs")[1] == runs
