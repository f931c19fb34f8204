"""Files of another family, to go on from or in a prompt: a sentence before work starts."""

from itertools import permutations

import pytest
import torch
from safetensors.torch import save_file

from lib_sdtune.artefacts import hypernetwork
from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.host.embedded import addons
from lib_sdtune.ineffective_settings import by_model
from lib_sdtune.loaded_model import ModelSpec
from lib_sdtune.lora_tools import base_loras
from lib_sdtune.methods import registry as methods
from lib_sdtune.networks.hypernetwork import Hypernetwork, Structure
from lib_sdtune.prompts import tags
from tests.hosts import settings
from tests.models import TINY

ONE_TABLE = {"emb_params": torch.zeros(2, 1024)}
TWO_TABLES = {"clip_l": torch.zeros(2, 768), "clip_g": torch.zeros(2, 1280)}


@pytest.fixture(scope="module")
def models():
    return {name: make() for name, make in TINY.items()}


def spec_of(model):
    shapes = {part: {name: tuple(tensor.shape) for name, tensor in module.named_parameters()} for part, module in model.modules()}
    return ModelSpec(shapes, torch.float32, torch.device("cpu"), model.variant, model.family)


def refused(model, folder, method, **section):
    config = Config.from_dict(settings("x", method=method, **{method: section}))
    with pytest.raises(UserError) as error:
        methods[method].check_model(config, lambda kind: folder, spec_of(model))
    return str(error.value)


@pytest.mark.parametrize("family", TINY)
def test_to_go_on_from(models, tmp_path, family):
    for name, tables in (("one", ONE_TABLE), ("two", TWO_TABLES)):
        save_file(tables, tmp_path / f"{name}.safetensors")
        sentence = refused(models[family], tmp_path, "textual_inversion", init_embedding=name)
        assert f"{name}.safetensors" in sentence and "another model family" in sentence
    hypernetwork.write(tmp_path / "wide.pt", Hypernetwork([48], Structure()), hypernetwork.Facts("wide"))
    assert "wide.pt" in (sentence := refused(models[family], tmp_path, "hypernetwork", init_hypernetwork="wide")) and "48" in sentence


@pytest.mark.parametrize(("family", "other"), list(permutations(TINY, 2)))
def test_a_lora_to_go_on_from_or_to_train_on_top_of(models, tmp_path, family, other):
    tensors = {"lora_unet_x.lora_down.weight": torch.zeros(2, 8), "lora_unet_x.lora_up.weight": torch.zeros(8, 2)}
    save_file(tensors, tmp_path / "foreign.safetensors", {"ss_base_model_version": models[other].family.base_model_version})
    words = f"foreign.safetensors is a LoRA for {models[other].family.sd_version} and the model is {models[family].family.sd_version}"
    assert words in refused(models[family], tmp_path, "lora", init_file="foreign")
    with pytest.raises(UserError, match=words):
        base_loras.check([("foreign", 1.0)], lambda kind: tmp_path, spec_of(models[family]))


@pytest.mark.parametrize("other", TINY)
@pytest.mark.parametrize("family", TINY)
def test_a_lora_in_a_prompt(models, tmp_path, family, other):
    if family == other:
        return
    tensors = {}
    for target in models[other].family.targets(models[other]):
        if target.kind == "attention" and target.layer.weight.ndim == 2:
            outputs, inputs = target.layer.weight.shape
            outputs += family != "sdxl" and other != "sdxl"  # small models of SD1 and SD2 are alike in names and widths
            tensors |= {f"{target.key}.lora_down.weight": torch.zeros(2, inputs), f"{target.key}.lora_up.weight": torch.zeros(outputs, 2)}
    save_file(tensors, tmp_path / "foreign.safetensors")
    with pytest.raises(UserError, match="foreign.safetensors (is a LoRA for another kind of model|does not fit this model)"), \
            addons.attached(models[family], lambda kind: tmp_path, tags("<lora:foreign:1>")[1]):
        pass


@pytest.mark.parametrize("family", TINY)
def test_pictures_far_smaller_than_the_models_are_told(models, family):
    model = models[family]
    resolution = {"sd1": 512, "sd2": 512, "sdxl": 1024}[family]
    assert model.family.resolution == resolution

    def sentences(side, clip_skip=1):
        config = Config.from_dict(settings("x", dataset={"resolution": side, "max_bucket_reso": 2048}, model={"clip_skip": clip_skip}))
        return by_model(config, model.family, resolution, [])

    assert sentences(resolution) == sentences(resolution * 3 // 4) == []
    assert f"made for {resolution}" in sentences(resolution // 2)[0]
    assert bool(sentences(resolution, 2)) is (family != "sd1")
