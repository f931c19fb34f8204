"""Pictures are compared by the WebUI's CLIP where its weights are there: here a tiny one, or a stand-in where the package is not installed."""

import importlib.util
import sys
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

REAL = importlib.util.find_spec("clip") is not None
SIDE, WIDTH = 32, 64


class TinyClip(torch.nn.Module):
    """In the place of the package's model."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.image, self.text = torch.nn.Linear(3 * SIDE * SIDE, WIDTH), torch.nn.Embedding(50000, WIDTH)

    def encode_image(self, pixels):
        return self.image(pixels.flatten(1))

    def encode_text(self, tokens):
        return self.text(tokens).mean(1)


def load(path, device):
    assert path.endswith("ViT-L-14.pt") and device == "cpu"
    return TinyClip(), lambda image: torch.tensor(list(image.resize((SIDE, SIDE)).tobytes()), dtype=torch.float32).reshape(3, SIDE, SIDE) / 255


@pytest.fixture
def models(webui, monkeypatch, tmp_path):
    """The folder in which the weights are looked for."""
    from modules import devices, shared

    if not REAL:
        monkeypatch.setitem(sys.modules, "clip", SimpleNamespace(
            load=load, tokenize=lambda texts, truncate: torch.tensor([[ord(letter) for letter in text.ljust(9)[:9]] for text in texts])))
    if importlib.util.find_spec("modules.interrogate") is None:
        monkeypatch.setitem(sys.modules, "modules.interrogate", SimpleNamespace(clip_model_name="ViT-L/14"))
    monkeypatch.setattr(devices, "device_interrogate", torch.device("cpu"), raising=False)
    monkeypatch.setattr(shared.cmd_opts, "clip_models_path", str(tmp_path), raising=False)
    return tmp_path


def write_weights(folder):
    if not REAL:
        (folder / "ViT-L-14.pt").touch()
        return
    from clip.model import CLIP

    torch.manual_seed(0)
    model = CLIP(WIDTH, SIDE, 1, WIDTH, 16, 77, 49408, WIDTH, 1, 1).eval()
    inputs = torch.zeros(1, 3, SIDE, SIDE), torch.zeros(1, 77, dtype=torch.long)
    torch.jit.trace(model, inputs, check_trace=False).save(str(folder / "ViT-L-14.pt"))  # as the published ones are packed


def test_without_weights_there_is_no_encoder_and_nothing_is_fetched(host, models):
    assert host.image_encoder() is None and not list(models.iterdir())


def test_pictures_and_prompts_are_compared_by_cosines(host, models):
    write_weights(models)
    encoder = host.image_encoder()
    assert encoder.name == "CLIP ViT-L/14"
    pictures = [Image.new("RGB", (40, 30), colour) for colour in ("red", "red", "blue")]
    features = encoder.images(pictures)
    assert features.shape == (3, WIDTH) and features.norm(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    assert torch.allclose(features[0], features[1]) and not torch.allclose(features[0], features[2], atol=1e-3)
    scores = encoder.recognise(pictures, ["a red cat", "a blue dog " * 40])
    assert scores.shape == (3, 2) and scores.abs().max() <= 1.001 and not torch.allclose(scores[:, 0], scores[:, 1])


def test_it_judges_in_place_of_the_models_own_features(host, models):
    from lib_sdtune.evaluation.evaluation import Evaluation
    from lib_sdtune.evaluation.judge import Judge
    from lib_sdtune.sections.model import Model

    write_weights(models)
    choice = Evaluation.__new__(Evaluation)
    choice.host, choice.model, choice.progress = host, Model(), lambda done, total, text: None
    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green", "blue", "white")]
    with choice.encoder() as encoder:
        judge = Judge(encoder, pictures[:2], [(0, pictures[2]), (1, pictures[3])], ["a cat", "a dog"])
        measures = judge.measure([(0, pictures[0]), (1, pictures[3])])
    assert encoder.name.startswith("CLIP") and set(measures) == {"subject", "prompt", "variety", "copies", "best"}
    assert judge.measure([(0, pictures[0]), (1, pictures[1])])["subject"] == pytest.approx(1, abs=1e-3)
