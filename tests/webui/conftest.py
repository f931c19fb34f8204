"""A running WebUI with SD Tune in it, at the address in SDTUNE_WEBUI_URL. Its checkpoint should be small: these tests train."""

import base64
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from tests.hosts import pictures


class WebUI:
    """Calls by HTTP, with the answer's status."""

    def __init__(self, url):
        self.url = url.rstrip("/")

    def call(self, path, body=None, method=None, headers=None):
        """(status, JSON) of a GET, or of a POST when there is a body (JSON, or bytes as they are)."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        method = method or ("GET" if data is None else "POST")
        address = self.url + urllib.parse.quote(path, safe="/?=&%")
        request = urllib.request.Request(address, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return answer.status, json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or "null")

    def tune(self, path, body=None, method=None, headers=None):
        return self.call("/sdtune/v1" + path, body, method, headers)

    def order(self, path):
        return self.tune(path, b"", "POST")

    def run(self, name):
        return self.tune(f"/runs/{name}")[1]

    def until(self, name, reached, seconds=240):
        deadline = time.monotonic() + seconds
        while not reached(run := self.run(name)):
            assert time.monotonic() < deadline, run
            assert run["state"] != "failed" or reached(run), run
            time.sleep(0.1)
        return run

    def wait(self, over, seconds=240):
        deadline = time.monotonic() + seconds
        while not over():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.2)

    def draw(self, prompt, seed=11, **changes):
        """The picture's pixels; `changes` are settings of the API's."""
        asked = {"prompt": prompt, "seed": seed, "steps": 3, "width": 64, "height": 64, "cfg_scale": 4, "sampler_name": "Euler",
                 "scheduler": "Automatic", **changes}
        status, answer = self.call("/sdapi/v1/txt2img", asked)
        assert status == 200, answer
        return pixels(base64.b64decode(answer["images"][0]))

    def memory(self):
        return self.call("/sdapi/v1/memory")[1]["ram"]["used"]


def pixels(png):
    import io

    from PIL import Image

    return Image.open(io.BytesIO(png)).convert("RGB").tobytes()


@pytest.fixture(scope="session")
def webui():
    url = os.environ.get("SDTUNE_WEBUI_URL")
    if not url:
        pytest.skip("no WebUI: start one with --api and this extension, and put its address into SDTUNE_WEBUI_URL")
    return WebUI(url)


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("pictures") / "4_ron", count=3, size=(64, 64))


@pytest.fixture
def config(images, request):
    """A short LoRA run's CONFIG with a name of its own."""
    return {"name": f"live {request.node.name[5:45].strip('_')}".replace("[", " ").replace("]", ""), "overwrite": True,
            "concepts": [{"images": str(images), "prompt": "a photo of ron"}],
            "dataset": {"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 128},
            "lora": {"dim": 4, "alpha": 4, "unet_lr": 0.02, "text_encoder_lr": 0.005},
            "train": {"max_train_steps": 8}, "save": {"state_every_n_steps": 2, "precision": "float"}}
