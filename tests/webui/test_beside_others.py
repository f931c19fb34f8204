"""Beside a meddling extension in the running WebUI: the same bits, the same pictures, or a refusal that names the module.

Copy `tests/webui/meddler` into the WebUI's extensions before it starts.
"""

import base64
import shutil
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from lib_sdtune.evaluation.evaluation import FOLDER
from tests.webui.conftest import pixels
from tests.webui.meddler_modes import PUT_ASIDE, REFUSED

METHODS = {"lora": {"dim": 4, "unet_lr": 0.02, "text_encoder_lr": 0.005}, "dreambooth": {"unet_lr": 0.002},
           "textual_inversion": {"lr": 0.5}, "hypernetwork": {"lr": 0.01}}


@pytest.fixture
def meddler(webui):
    scripts = webui.call("/sdapi/v1/scripts")[1]["txt2img"]
    if "meddler" not in scripts:
        pytest.skip("the extension tests/webui/meddler is not in the WebUI")

    def draw(mode="", how=""):
        """A user's picture; None where the meddler broke it off."""
        asked = {"prompt": "a cat", "seed": 11, "steps": 3, "width": 64, "height": 64, "cfg_scale": 4, "sampler_name": "Euler",
                 "scheduler": "Automatic", "alwayson_scripts": {"meddler": {"args": [mode, how]}}}
        status, answer = webui.call("/sdapi/v1/txt2img", asked)
        assert status == 200 or how == "breaks", answer
        return pixels(base64.b64decode(answer["images"][0])) if status == 200 else None

    draw()
    yield draw
    draw()


def settings(config, method, tmp_path, name):
    concept = config["concepts"][0] | {"class_images": str(tmp_path / name / "class"), "class_prompt": "a photo of a cat", "num_class_images": 2,
                                       "prompt": "a photo of ron"}
    sample = {"prompts": ["a photo of a cat"], "every_n_steps": 2, "steps": 2, "width": 64, "height": 64}
    return {**config, "name": name, "method": method, method: METHODS[method], "concepts": [concept], "sample": sample,
            "dataset": config["dataset"] | {"cache_dir": ""} if "cache_dir" in config["dataset"] else config["dataset"],
            "train": {"max_train_steps": 4}}


def learned(webui, run, tmp_path):
    """What a run leaves: the rows of its log, its file, its samples and its class pictures."""
    rows = [[row[key] for key in ("step", "loss", "grad_norm")] for row in webui.tune(f"/runs/{run['id']}/log")[1]]
    samples = [sample_pixels(webui, run["id"], sample) for sample in run["samples"]]
    classes = [pixels(path.read_bytes()) for path in sorted((tmp_path / run["id"] / "class").glob("*.png"))]
    return rows, contents(run["artefacts"][-1]), samples, classes


def contents(path):
    from tests.webui.test_live import tensors

    return tensors(path) if path.endswith(".safetensors") else Path(path).stat().st_size


def sample_pixels(webui, name, sample):
    file = sample["file"] if isinstance(sample, dict) else sample
    return picture(webui, f"/runs/{name}/samples/{Path(file).name}")


def picture(webui, path):
    with urllib.request.urlopen(f"{webui.url}/sdtune/v1{urllib.parse.quote(path)}", timeout=60) as answer:
        return pixels(answer.read())


def train(webui, config, tmp_path):
    status, answer = webui.tune("/runs", config)
    assert status == 201, answer
    return webui.until(answer["id"], lambda run: run["state"] in ("finished", "failed"))


@pytest.mark.parametrize("how", ["keeps", "breaks"])
@pytest.mark.parametrize("method", METHODS)
def test_a_run_beside_it_is_the_same_run(webui, meddler, config, tmp_path, method, how):
    plain = meddler()
    expected = learned(webui, train(webui, settings(config, method, tmp_path, "ron"), tmp_path), tmp_path)
    assert expected[2] and len(expected[3]) in (0, 2)
    for mode in PUT_ASIDE:
        for picture in (tmp_path / "ron" / "class").glob("*"):
            picture.unlink()
        meddler(mode, how)
        run = train(webui, settings(config, method, tmp_path, "ron"), tmp_path)
        assert run["state"] == "finished" and not run["message"].startswith("Starting anew"), (mode, run["message"])
        assert learned(webui, run, tmp_path) == expected, mode
        assert any("meddler" in note for note in run["notes"]), mode
        assert meddler() == plain, mode


def grid(webui, run):
    """The pixels of a choosing grid's cells, all drawn anew, or the sentence that refused it."""
    shutil.rmtree(Path(run["artefacts"][-1]).parents[2] / "sdtune" / "runs" / run["id"] / FOLDER, ignore_errors=True)
    grid = {"prompts": ["a photo of ron"], "seeds": [1], "width": 64, "height": 64, "strength": False}
    assert webui.tune(f"/runs/{run['id']}/choose", grid)[0] == 200
    webui.wait(lambda: webui.tune(f"/runs/{run['id']}/choose")[1]["work"]["state"] not in ("waiting", "working"))
    status = webui.tune(f"/runs/{run['id']}/choose")[1]
    if status["work"]["state"] != "done":
        return status["work"]["message"]
    return [picture(webui, f"/runs/{run['id']}/choose/{cell}") for row in status["result"]["cells"] for cell in row]


def test_a_choosing_grid_beside_it_is_the_same_grid_or_refused(webui, meddler, config, tmp_path):
    run = train(webui, settings(config, "lora", tmp_path, "grid"), tmp_path)
    plain, expected = meddler(), grid(webui, run)
    assert len(expected) > 1
    for mode in PUT_ASIDE:
        meddler(mode, "keeps")
        assert grid(webui, run) == expected, mode
        assert meddler() == plain, mode
    refusals = []
    for mode, module in REFUSED.items():
        meddler(mode, "keeps")
        answer = grid(webui, run)
        if isinstance(answer, str):
            assert module in answer and "start again" in answer, (mode, answer)
            refusals.append(mode)
        else:  # the WebUI's own LoRAs have put back what they had kept of the weight
            assert answer == expected, mode
        assert meddler() == plain, mode
    assert {"merged_in_vae", "layer_of_its_own", "added_layer", "exchange_buffer", "exchange_schedule"} <= set(refusals)


@pytest.mark.parametrize("mode", REFUSED)
def test_what_cannot_be_put_aside_is_refused(webui, meddler, config, tmp_path, mode):
    plain = meddler()
    meddler(mode, "keeps")
    run = train(webui, settings(config, "lora", tmp_path, "refused"), tmp_path)
    assert run["state"] == "failed" and REFUSED[mode] in run["message"], run
    assert meddler() == plain


def test_fp8_weights_are_refused_before_a_run_is_queued(webui, config):
    before = len(webui.tune("/runs")[1])
    assert webui.call("/sdapi/v1/options", {"fp8_storage": "Enable"})[0] == 200
    try:
        status, answer = webui.tune("/runs", {**config, "name": "never queued"})
    finally:
        webui.call("/sdapi/v1/options", {"fp8_storage": "Disable"})
    assert status == 422 and "FP8 weight to Disable" in answer["detail"]
    assert len(webui.tune("/runs")[1]) == before


def test_pictures_in_between_with_it_change_nothing(webui, meddler, config, tmp_path):
    plain = meddler()
    quiet = settings(config, "lora", tmp_path, "ron") | {"train": {"max_train_steps": 12}}
    expected = learned(webui, train(webui, quiet, tmp_path), tmp_path)
    webui.tune("/runs", quiet)
    for mode in PUT_ASIDE:
        if webui.run("ron")["state"] in ("finished", "failed"):
            break
        meddler(mode, "keeps")
    run = webui.until("ron", lambda run: run["state"] in ("finished", "failed"))
    assert run["state"] == "finished", run["message"]
    assert learned(webui, run, tmp_path) == expected
    assert meddler() == plain
