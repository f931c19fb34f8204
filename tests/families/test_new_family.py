"""A family is one file: with it alone its checkpoints are told, trained, written and drawn with."""

import importlib.util
import json

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lib_sdtune.artefacts.about import about
from lib_sdtune.families import registry
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.host.embedded import EmbeddedHost
from lib_sdtune.sections.model import Model
from tests.hosts import settings, train
from tests.models import checkpoint_tensors, tiny_sdxl

FILE = '''
"""Two towers read at their last layers, normalised, and no pooled answer; a VAE with another scale."""

import torch

from lib_sdtune.families import registry
from lib_sdtune.families.base import Family
from lib_sdtune.ldm.architecture import Part, open_text_sizes, text_sizes
from lib_sdtune.ldm.openclip import OpenCLIPTextModel
from lib_sdtune.ldm.text import CLIPTextModel
from lib_sdtune.ldm.towers import CLIPTower, OpenCLIPTower


@registry.register("twin")
class Twin(Family):
    scale_factor, resolution, sd_version, base_model_version, architecture = 0.5, 640, "Twin", "twin_v1", "twin"
    embedding_keys, text_keys = ("first", "second"), ("lora_first", "lora_second")
    text_parts = (Part("twins.0.", CLIPTextModel, text_sizes, "text"), Part("twins.1.", OpenCLIPTextModel, open_text_sizes, "text_2"))

    def recognises(self, shapes):
        return any(name.startswith("twins.") for name in shapes)

    def towers(self, text_encoders, clip_skip=1):
        return [CLIPTower(text_encoders[0]), OpenCLIPTower(text_encoders[1], pad=0)]

    def predict(self, model, noisy, timesteps, conditioning):
        return model.unet(noisy, timesteps, context=conditioning.context, y=torch.zeros(len(noisy), 20 + 6 * 256))
'''


def test_a_family_is_one_file(tmp_path, images, monkeypatch):
    monkeypatch.setattr(registry, "_entries", dict(registry._load()))
    (tmp_path / "twin.py").write_text(FILE)
    spec = importlib.util.spec_from_file_location("twin", tmp_path / "twin.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    model = tiny_sdxl()
    model.family = registry["twin"]()
    path = tmp_path / "data" / "models" / "Stable-diffusion" / "mine.safetensors"
    path.parent.mkdir(parents=True)
    save_file(checkpoint_tensors(model), path)
    (path.parent / "vocab.json").write_text(json.dumps(model.tokenizer.vocab), encoding="utf-8")
    (path.parent / "merges.txt").write_text("\n".join(" ".join(pair) for pair in model.tokenizer.ranks), encoding="utf-8")

    host = EmbeddedHost(tmp_path / "data", path, device="cpu")
    assert host.about()["family"] == "Twin" and host.defaults(Model())["dataset"]["resolution"] == 640
    assert about(path)["family"] == "twin"
    for method, changes in (("lora", {}), ("dreambooth", {"dreambooth": {"unet_lr": 1e-3, "text_encoder_lr": 1e-3}}),
                            ("textual_inversion", {"textual_inversion": {"token": "ron"}})):
        assert train(host, settings(images, method, method=method, **changes)).state == "finished"
    with safe_open(host.folder("lora") / "lora.safetensors", "pt") as file:
        keys = {key.split("_text_model")[0] for key in file.keys() if "unet" not in key}  # noqa: SIM118
        assert keys == {"lora_first", "lora_second"} and file.metadata()["ss_base_model_version"] == "twin_v1"
    assert load_file(host.folder("checkpoints") / "dreambooth.safetensors").keys() == load_file(path).keys()
    assert set(load_file(host.folder("embeddings") / "textual_inversion.safetensors")) == {"first", "second"}
    request = SampleRequest("a textual_inversion <lora:lora:1>", "", 2, width=64, height=64)
    assert next(iter(host.generate([request]))).size == (64, 64)
