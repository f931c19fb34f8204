"""Rounded to its precision, a file still says what was learned; one that would not is no success."""

import pytest
import torch
from safetensors.torch import load_file

from lib_sdtune.artefacts import embedding
from lib_sdtune.artefacts.lora import rounded
from lib_sdtune.config import Config
from lib_sdtune.errors import NothingLearned
from lib_sdtune.formats.tensors import PRECISIONS
from lib_sdtune.methods import registry
from lib_sdtune.methods.lora import LoraMethod
from tests.hosts import settings, train
from tests.models import tiny_sd1

TINY = {"lora": {"unet_lr": 1e-9, "text_encoder_lr": 1e-9}, "dreambooth": {"unet_lr": 1e-12}, "textual_inversion": {"lr": 1e-7},
        "hypernetwork": {"lr": 1e-12}}


@pytest.mark.parametrize("method", registry.names())
def test_a_run_whose_file_would_hold_the_start_fails_at_its_end(host, images, method):
    changes = {"train": {"max_train_steps": 2},
               "save": {"precision": "fp16", "every_n_steps": 1}, method: TINY[method]}
    with pytest.raises(NothingLearned, match=r"fp16.*save\.precision"):
        train(host, settings(images, method=method, **changes))
    kind = registry[method].kind
    assert not list(host.folder(kind).glob("*")) and not host.published
    log = (host.folder("sdtune") / "runs/ron/run.log").read_text()
    assert "step 1: nothing was saved" in log, "what is not there yet does not end a run on its way"


def lora(precision, network):
    config = Config.from_dict({"name": "ron", "concepts": [{"images": "x"}], "save": {"precision": precision},
                               "lora": {"network": network, "dim": 4, "alpha": 0.1, "conv_dim": 2}})
    method = LoraMethod(config, tiny_sd1())
    torch.manual_seed(0)
    for adapter in method.adapters.values():
        for parameter in adapter.parameters():
            parameter.data += torch.randn_like(parameter) * 0.02 * parameter.abs().mean().clamp(min=0.05)
    return method


@pytest.mark.parametrize("network", ["lora", "dora"])
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_what_was_learned_survives_rounding(tmp_path, precision, network):
    method = lora(precision, network)
    method.export(tmp_path / "ron.safetensors", {})
    tensors = load_file(tmp_path / "ron.safetensors")
    scales = [tensor for name, tensor in tensors.items() if name.endswith("dora_scale")]
    assert len(scales) == (len(method.adapters) if network == "dora" else 0)
    assert all(scale.dtype == torch.float32 for scale in scales)
    assert {tensor.dtype for name, tensor in tensors.items() if name.endswith(".lora_up.weight")} == {PRECISIONS[precision]}
    for key, adapter in list(method.adapters.items())[::20]:
        exact = adapter.delta_weight().detach().clone()
        adapter.load_tensors({tail: tensors[f"{key}.{tail}"].float() for tail in adapter.tensors()})
        assert (adapter.delta_weight() - exact).norm() < 0.01 * exact.norm(), key


def test_only_a_strength_that_rounding_would_change_stays_whole():
    alphas = {alpha: rounded("key.alpha", torch.tensor(float(alpha)), torch.bfloat16).dtype for alpha in (4, 257, 0.1)}
    assert alphas == {4: torch.bfloat16, 257: torch.float32, 0.1: torch.float32}
    assert rounded("key.lora_up.weight", torch.tensor([[0.1]]), torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_an_embedding_that_goes_on_counts_all_its_steps(host, images, ending):
    for name, changes in (("first", {}), ("second", {"init_embedding": "first"}), ("third", {"init_embedding": "second"})):
        own = {"lr": 0.05, "save_model_as": ending, **changes}
        concepts = [{"images": str(images), "prompt": "a photo of [name]"}]
        train(host, settings(images, name=name, concepts=concepts, method="textual_inversion", textual_inversion=own, train={"max_train_steps": 2}))
    assert [embedding.steps(host.folder("embeddings") / f"{name}.{ending}") for name in ("first", "second", "third")] == [2, 4, 6]
