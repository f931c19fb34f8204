"""Embeddings and hypernetworks on a running WebUI: made through our API, listed at once, seen in the picture, gone without trace.

SDTUNE_WEBUI_URL is the address of a WebUI that was started with --api, has this extension, runs on this machine and has a small SD1
checkpoint loaded, such as http://127.0.0.1:7861.
"""

import base64
import io
import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

URL = os.environ.get("SDTUNE_WEBUI_URL")
pytestmark = pytest.mark.skipif(not URL, reason="SDTUNE_WEBUI_URL is not set")
NAME = "zwx-sdtune-test"


def call(path, body=None):
    """(HTTP status, JSON answer); POST with a body, GET without."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def draw(prompt):
    """The pixels of a picture."""
    request = {"prompt": prompt, "seed": 1, "steps": 2, "width": 64, "height": 64, "sampler_name": "Euler a", "cfg_scale": 7}
    encoded = call("/sdapi/v1/txt2img", request)[1]["images"][0].split(",")[-1]
    return Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB").tobytes()


def sampled(run):
    """The pixels of the sample on the way, and of the last step's."""
    return [Image.open(file).convert("RGB").tobytes() for file in run["samples"]]


def train(images, **settings):
    """Queue a run and wait for its end; its last status."""
    base = {"name": NAME, "overwrite": True, "concepts": [{"images": str(images), "prompt": "subject_filewords.txt"}],
            "dataset": {"resolution": 64, "min_bucket_reso": 64}, "train": {"max_train_steps": 8},
            "save": {"every_n_steps": 4, "precision": "float"}, "sample": {"every_n_steps": 4, "steps": 2}}
    status, answer = call("/sdtune/v1/runs", base | settings)
    assert status == 201, answer
    while (run := call(f"/sdtune/v1/runs/{NAME}")[1])["state"] not in ("finished", "failed", "stopped"):
        time.sleep(0.5)
    assert run["state"] == "finished", run["message"]
    return run


@pytest.fixture
def images(tmp_path):
    for number in range(3):
        Image.effect_noise((64, 64), 40 + 20 * number).convert("RGB").save(tmp_path / f"{number} red cat.png")
    return tmp_path


@pytest.fixture
def removed():
    """Files to delete afterwards, with what lies beside them."""
    paths = []
    yield paths
    for path in paths:
        for file in path.parent.glob(f"{NAME}*"):
            file.unlink()


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_an_embedding(images, removed, ending):
    plain, other = draw(f"a photo of {NAME}"), draw("a red cat")
    run = train(images, method="textual_inversion",
                sample={"every_n_steps": 4, "steps": 2, "prompts": [f"a photo of {NAME}"]},
                textual_inversion={"lr": 0.2, "num_vectors_per_token": 2, "init_text": "cat", "save_model_as": ending})
    file = Path(run["artefacts"][-1])
    removed.append(file)
    listed = call("/sdapi/v1/embeddings")[1]
    assert listed["loaded"][NAME]["vectors"] == 2 and NAME not in listed["skipped"] and file.suffix == f".{ending}"
    assert draw(f"a photo of {NAME}") != plain and draw("a red cat") == other
    shown = [draw(f"a photo of {NAME}-step00000004"), draw(f"a photo of {NAME}")]
    assert sampled(run) == shown, "a sample shows what a file saved at that moment would"
    file.unlink()
    call("/sdapi/v1/refresh-embeddings", {})
    draw("a red cat")  # the WebUI keeps the last prompt's encoding, whatever became of its words
    assert draw(f"a photo of {NAME}") == plain


def test_a_hypernetwork(images, removed):
    plain = draw("a red cat")
    run = train(images, method="hypernetwork", sample={"every_n_steps": 4, "steps": 2, "prompts": ["a red cat"]},
                hypernetwork={"lr": 0.01, "activation": "swish"})
    removed.append(Path(run["artefacts"][-1]))
    assert NAME in [hypernetwork["name"] for hypernetwork in call("/sdapi/v1/hypernetworks")[1]]
    full, half = draw(f"a red cat <hypernet:{NAME}:1>"), draw(f"a red cat <hypernet:{NAME}:0.5>")
    assert len({plain, full, half}) == 3
    assert sampled(run) == [draw(f"a red cat <hypernet:{NAME}-step00000004:1>"), full]
    assert draw("a red cat") == plain


@pytest.mark.parametrize(("settings", "says"), [
    ({"name": "a/b"}, "name"),
    ({"concepts": [{"images": "IMAGES", "prompt": "nobody.txt"}]}, "There is no prompt template nobody.txt"),
    ({"concepts": [{"images": "IMAGES", "prompt": "a cat"}]}, "so nothing could be learned"),
    ({"textual_inversion": {"num_vectors_per_token": 76}}, "the largest value is 75"),
    ({"textual_inversion": {"init_embedding": "nobody"}}, "There is no embedding called 'nobody'"),
])
def test_wrong_input_is_a_sentence_at_once(images, settings, says):
    for concept in settings.get("concepts", []):
        concept["images"] = str(images)
    body = {"name": NAME, "method": "textual_inversion", "concepts": [{"images": str(images)}]} | settings
    status, answer = call("/sdtune/v1/runs", body)
    assert status == 422 and says in answer["detail"] and "\n" not in answer["detail"]
