"""What stands around a training, for every family: class pictures, samples, the card, TensorBoard, inspecting, choosing a
file and its strength, the report, and the WebUI's X/Y/Z plot.
"""

import importlib
import json
import math
import sys
from types import SimpleNamespace

import pytest
from PIL import Image

from lib_sdtune.artefacts.about import about
from lib_sdtune.data.inspect import inspect
from lib_sdtune.declaration import build
from lib_sdtune.evaluation import evaluation, run_report
from lib_sdtune.evaluation.evaluation import Evaluation
from lib_sdtune.evaluation.settings import read
from lib_sdtune.sections.dataset import DatasetConfig
from lib_sdtune.sections.model import Model
from lib_sdtune.training.runs import RunFolder
from tests.checkpoints import V_YAML, host_of
from tests.hosts import pictures, settings, train
from tests.models import TINY

SMALL = {"resolution": 128, "min_bucket_reso": 128, "max_bucket_reso": 128}
GRID = {"prompts": ["a photo of ron", "a ron on snow"], "seeds": [1], "steps": 1, "width": 128, "height": 128}
VERSIONS = {"sd1": "SD1", "sd2": "SD2", "sdxl": "SDXL"}


@pytest.fixture(scope="module", params=TINY)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def host(family, tmp_path_factory):
    """The embedded host of a v-prediction model, after a LoRA's run of two saved files with class pictures and samples."""
    place = tmp_path_factory.mktemp(family)
    images = pictures(place / "2_ron", 2)
    host = host_of(place / "data", family, V_YAML[family])
    concept = {"images": str(images), "prompt": "a photo of ron", "class_images": str(place / "class"),
               "class_prompt": "a photo", "num_class_images": 2}
    config = settings(images, concepts=[concept], dataset=SMALL, train={"max_train_steps": 2},
                      save={"every_n_steps": 1, "state_every_n_steps": 0}, validation={"split": 0.5},
                      sample={"every_n_steps": 1, "prompts": ["a photo of ron"], "steps": 1})
    assert train(host, config).state == "finished"
    return host


@pytest.fixture(scope="module")
def run(host):
    return RunFolder(host.folder("sdtune") / "runs" / "ron")


def test_class_pictures_and_samples_are_drawn(host, run):
    drawn = [*sorted((host.data_dir.parent / "class").iterdir()), *sorted((run.path / "samples").glob("step*.png"))]
    assert len(drawn) == 4
    for path in drawn:
        with Image.open(path) as image:
            assert image.size == (128, 128) and len(set(image.convert("L").getdata())) > 1 and "Steps: " in image.info["parameters"]


def test_the_card_and_the_file_say_the_family(host, family):
    card = json.loads((host.folder("lora") / "ron.json").read_text(encoding="utf-8"))
    facts = about(host.folder("lora") / "ron.safetensors")
    assert card["sd version"] == VERSIONS[family] and facts["family"] == family and facts["kind"] == "lora"
    assert about(host.checkpoint) | {"family": family, "prediction_type": "v_prediction"} == about(host.checkpoint)


def test_tensorboard_has_the_curves(run):
    written = b"".join(path.read_bytes() for path in (run.path / "tensorboard").rglob("*.sdtune"))
    assert all(name in written for name in (b"loss", b"measured loss"))


def test_a_folder_is_inspected_at_the_models_resolution(host, family):
    resolution = host.defaults(Model())["dataset"]["resolution"]
    assert resolution == 64  # as the small checkpoint says; what a family has without saying is in test_detection
    report = inspect(host.data_dir.parent / "2_ron", build(DatasetConfig, host.defaults(Model())["dataset"] | {"min_bucket_reso": 64}))
    assert report["buckets"] == {"64x64": 2} and report["images"] == report["captions"] == 2


def test_files_are_ranked_with_a_curve_of_strengths_and_reported(host, run, monkeypatch):
    monkeypatch.setattr(evaluation, "STRENGTHS", (0.5, 1.0))
    result = Evaluation(host, run, read(GRID)).make()
    assert len(result["ranking"]) == 2 and result["proposal"]["file"] in ("ron", "ron-step00000001") and not result["problem"]
    assert [point["weight"] for point in result["curve"]] == [0.5, 1.0]
    assert all(math.isfinite(point["subject"]) for point in result["curve"]) and "UNet" in result["measured_by"]
    assert result["curve"][0]["prompt"] is None  # a random model follows no prompt, so nobody could tell
    assert evaluation.result(run) == json.loads(json.dumps(result))
    page = run_report.write(run, run.status()).read_text(encoding="utf-8")
    assert result["ranking"][0]["file"] in page and page.count("data:image/jpeg;base64,") >= 2


def test_the_x_y_z_plot_has_the_saved_files_on_an_axis(host, monkeypatch):
    grid = SimpleNamespace(axis_options=[], AxisOption=lambda label, kind, apply, **rest: SimpleNamespace(label=label, apply=apply, **rest))
    scripts = SimpleNamespace(scripts_data=[SimpleNamespace(module=grid)])
    monkeypatch.setitem(sys.modules, "modules", SimpleNamespace(scripts=scripts))
    monkeypatch.delitem(sys.modules, "lib_sdtune.extension.xyz", raising=False)
    xyz = importlib.import_module("lib_sdtune.extension.xyz")
    try:
        xyz.add(lambda: host)
        xyz.add(lambda: host)
        (axis,) = grid.axis_options
        assert axis.choices() == ["ron-step00000001", "ron"]
        p = SimpleNamespace(prompt="a cat <lora:ron:0.7>")
        axis.apply(p, "ron-step00000001", [])
        assert p.prompt == "<lora:ron-step00000001:0.7> a cat"
        axis.confirm(None, ["ron"])
        with pytest.raises(RuntimeError, match="Unknown SD Tune epoch: gone"):
            axis.confirm(None, ["gone"])
    finally:
        sys.modules.pop("lib_sdtune.extension.xyz", None)
