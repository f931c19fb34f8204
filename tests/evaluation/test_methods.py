"""Grid, ranking, publishing and taking back for what is no LoRA: embeddings, hypernetworks, whole checkpoints."""

import shutil

import pytest
from PIL import Image, ImageChops

from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.evaluation.any_files import AnyFiles
from lib_sdtune.evaluation.candidates import of_files
from lib_sdtune.evaluation.evaluation import Evaluation
from lib_sdtune.evaluation.publish import publish, undo
from lib_sdtune.evaluation.settings import read
from lib_sdtune.formats import pickled
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.host.embedded import EmbeddedHost
from lib_sdtune.sections.model import Model
from lib_sdtune.training.runs import RunFolder
from tests.hosts import train
from tests.test_architecture import ROOT

EXAMPLE = ROOT / "examples" / "ron" / "ron"
METHODS = {"textual_inversion": {"init_text": "toy", "lr": 0.2}, "hypernetwork": {"lr": 0.03, "weight_init": "KaimingNormal"},
           "dreambooth": {"unet_lr": 3e-3}}
WANTED = {"prompts": ["a photo of a red zwx on snow", "a photo of a blue zwx on sand"], "seeds": [1], "steps": 2, "cfg_scale": 4, "strength": False}


@pytest.fixture(scope="module", params=METHODS)
def trained(request, tmp_path_factory):
    """A data folder with one run of the method, called zwx, of three files."""
    place = tmp_path_factory.mktemp(request.param)
    (place / "1_zwx").mkdir()
    for name in ("01.png", "02.png"):
        shutil.copy(EXAMPLE / name, place / "1_zwx")
    host = EmbeddedHost(place / "data")
    config = {"name": "zwx", "method": request.param, request.param: METHODS[request.param],
              "concepts": [{"images": str(place / "1_zwx"), "prompt": "a photo of a zwx"}],
              "train": {"max_train_steps": 3}, "save": {"every_n_steps": 1, "precision": "float", "state_every_n_steps": 0}}
    train(host, Config.from_dict(config, host.defaults(Model())))
    return place / "data"


@pytest.fixture
def host(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "data")
    shutil.copytree(trained.parent / "1_zwx", tmp_path / "1_zwx")
    return EmbeddedHost(tmp_path / "data")


@pytest.fixture
def run(host):
    return RunFolder(host.folder("sdtune") / "runs" / "zwx")


def files(host):
    return {path.relative_to(host.data_dir): path.read_bytes() for kind in ("embeddings", "hypernetworks", "checkpoints")
            for path in host.folder(kind).rglob("*") if path.is_file()}


def same(image, other):
    return ImageChops.difference(image.convert("RGB"), other.convert("RGB")).getbbox() is None


def test_every_file_draws_its_own_pictures_and_the_best_one_is_published_and_taken_back(host, run):
    choice = Evaluation(host, run, read(WANTED))
    result = choice.make()
    assert len(result["ranking"]) == 3 and result["proposal"]["weight"] == 1 and not result["problem"]
    names = [list(column) for column in zip(*result["cells"], strict=True)]
    pictures = [[Image.open(run.path / "choose" / "cells" / name) for name in column] for column in names]
    assert len(pictures) == 4 and not any(same(a[0], b[0]) for i, a in enumerate(pictures) for b in pictures[:i])

    before, other = files(host), choice.candidates[1]
    publication = publish(host, run, other.stem)
    left = {path.name for path in files(host)}
    assert all(name.startswith("zwx.") for name in left) and ("zwx.yaml" in left) == (run.config().method == "dreambooth")
    (final,) = [path for path in files(host) if path.suffix in (".safetensors", ".pt")]
    assert final.stem == "zwx" and publication["file"] == other.stem and len(publication["swept"]) == 3
    if final.suffix == ".pt":
        assert pickled.read(host.data_dir / final)["name"] == "zwx"
    candidate = Evaluation(host, run, read(WANTED)).candidates[-1]
    requests = [SampleRequest(candidate.prompt(prompt, 1), "", 2, 4, 1, 64, 64) for prompt in WANTED["prompts"]]
    drawing = EmbeddedHost(host.data_dir, host.data_dir / final) if "Stable-diffusion" in final.parts else host
    assert all(same(image, cell) for image, cell in zip(drawing.generate(requests), pictures[2], strict=True))

    undo(host, run)
    assert files(host) == before


def test_a_checkpoint_stands_beside_the_one_it_was_made_from(host, run):
    """Also where the trained one is loaded, which then cannot be moved."""
    if run.config().method != "dreambooth":
        pytest.skip("draws with what is loaded")
    other, settings = EmbeddedHost(host.data_dir, "zwx"), {**WANTED, "files": ["zwx"]}
    choice, usual = Evaluation(other, run, read(settings)), Evaluation(host, run, read(settings))
    assert [cell.name for cell in choice.cells] == [cell.name for cell in usual.cells] and choice.cells[0].candidate is None
    choice.grid.make(choice.cells[:1])
    drawn = next(iter(host.generate([choice.cells[0].request])))
    assert same(Image.open(choice.grid.path(choice.cells[0])), drawn)
    with pytest.raises(UserError, match="zwx is the checkpoint that is loaded"):
        publish(other, run, "zwx-step00000001")


def test_any_files_are_ranked_by_pictures_that_are_named(host):
    kind = next(kind for kind in ("embeddings", "hypernetworks", "checkpoints") if host.folder(kind).exists())
    paths = sorted(path for path in host.folder(kind).glob("zwx*") if path.suffix in (".safetensors", ".pt"))[:2]
    assert [candidate.kind for candidate in of_files(host, paths)] == [kind] * 2
    result = Evaluation(host, AnyFiles(host, "some", paths, str(host.data_dir.parent / "1_zwx")), read({**WANTED, "prompts": WANTED["prompts"][:1]})).make()
    assert len(result["ranking"]) == 2 and result["ranking"][0]["prompt"] is None and "two or more" in result["note"]
