"""LoRA tools over HTTP: started, watched, published; each refusal before anything is read."""

import pytest
import torch

from lib_sdtune.artefacts import lora
from lib_sdtune.formats import tensors
from tests.lora_tools import files

KEY = "lora_unet_down_blocks_0_attentions_0_proj_in"


@pytest.fixture
def loras(app):
    """"a" and "b" of rank 4 in the host's folder."""
    folder = app.host.folder("lora")
    folder.mkdir(parents=True)
    for seed, name in enumerate("ab"):
        generator = torch.Generator().manual_seed(seed)
        file = {f"{KEY}.lora_down.weight": torch.randn(4, 32, generator=generator), f"{KEY}.alpha": torch.tensor(4.0),
                f"{KEY}.lora_up.weight": torch.randn(32, 4, generator=generator)}
        tensors.write(folder / f"{name}.safetensors", file)
    return folder


def test_a_lora_gets_another_rank_and_is_published(ask, loras, ended, app):
    assert ask("/lora-tools", method="get") == {"work": None, "made": None}
    ask("/lora-tools", {"tool": "resize", "file": "a", "dim": 2, "name": "small"})
    answer = ended("/lora-tools")
    assert answer["work"]["state"] == "done", answer
    assert answer["made"]["tag"] == "<lora:small:1>" and "Rank: 2;" in answer["made"]["sentence"]
    assert len(lora.read(loras / "small.safetensors").layers[KEY]["lora_down.weight"]) == 2
    assert [artefact.path.name for artefact in app.host.published] == ["small.safetensors"]


def test_two_are_merged_with_their_weights(ask, loras, ended):
    ask("/lora-tools", {"tool": "merge", "files": ["a", ["b", 0.5]], "name": "both"})
    assert ended("/lora-tools")["made"]["sentence"] == "Layers merged: 1."
    sums = [sum_of(loras / f"{name}.safetensors") for name in ("a", "b", "both")]
    assert torch.allclose(sums[0] + 0.5 * sums[1], sums[2], atol=1e-4)


def sum_of(path):
    layer = lora.read(path).layers[KEY]
    return float(layer["alpha"]) / len(layer["lora_down.weight"]) * layer["lora_up.weight"] @ layer["lora_down.weight"]


@pytest.mark.parametrize("body, words", [
    ({"tool": "resize"}, 'These settings are empty: "resize.file", "resize.name"'),
    ({"tool": "merge"}, '"merge.files", "merge.name"'), ({"tool": "extract", "original": "m"}, '"extract.tuned", "extract.name"'),
    ({}, "resize, merge, extract"), ({"tool": "resize", "name": "x"}, '"resize.file" is empty'),
    ({"tool": "resize", "file": "c", "name": "x"}, "no LoRA called 'c'"), ({"tool": "resize", "file": "../a", "name": "x"}, "no LoRA called"),
    ({"tool": "resize", "file": "a", "name": "x/y"}, "holds '/'"), ({"tool": "resize", "file": "a", "dim": 0, "name": "x"}, "resize.dim"),
    ({"tool": "merge", "name": "x"}, '"merge.files" is empty'), ({"tool": "extract", "original": "m", "name": "x"}, "no checkpoint called 'm'"),
    ({"tool": "merge", "files": ["a"], "fils": 1, "name": "x"}, "merge.fils")])
def test_what_is_refused(ask, loras, body, words):
    assert words in ask("/lora-tools", body, wrong=422)


def test_a_name_in_use_is_a_conflict(ask, loras):
    refused = ask("/lora-tools", {"tool": "resize", "file": "a", "name": "b"}, wrong=409)
    assert "exists already" in refused and 'switch "resize.overwrite" on' in refused


def test_loras_go_into_a_checkpoint_and_what_it_has_learned_comes_out_again(ask, ended, app):
    """Over HTTP both: the checkpoint changes by the LoRA, its averaged twin is left out and named, and the difference of
    the two is that LoRA.
    """
    folders = {kind: app.host.folder(kind) for kind in ("checkpoints", "lora")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    base = files.checkpoint(folders["checkpoints"] / "base.safetensors")
    twin = {"model_ema.a": torch.zeros(2), "model_ema.b": torch.zeros(2)}
    tensors.write(base, tensors.read(base)[0] | twin, {"sdtune_defaults": "{}"})
    source = files.lora(folders["lora"] / "style.safetensors", dim=2, alpha=2.0)
    ask("/lora-tools", {"tool": "merge", "files": [["style", 0.5]], "checkpoint": "base", "name": "merged"})
    answer = ended("/lora-tools")
    assert answer["work"]["state"] == "done", answer
    assert answer["made"]["kind"] == "checkpoints" and "2 tensors called model_ema.* are left out" in answer["made"]["sentence"]
    ask("/lora-tools", {"tool": "extract", "tuned": "merged", "original": "base", "dim": 2, "conv_dim": 2, "min_diff": 0,
                        "save_precision": "float", "name": "again"})
    answer = ended("/lora-tools")
    assert answer["work"]["state"] == "done", answer
    before, after = files.layers(source)[0], files.layers(folders["lora"] / "again.safetensors")[0]
    assert set(after) == set(before)
    for key, layer in before.items():
        extracted, learned = files.product(after[key]), 0.5 * files.product(layer)
        angle = torch.nn.functional.cosine_similarity(extracted.flatten(), learned.flatten(), dim=0)
        assert angle > 0.85, key  # single large values are cut (clamp_quantile)
