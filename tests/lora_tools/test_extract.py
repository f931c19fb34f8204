"""Extraction against the formulas of sd-scripts' extract_lora_from_models.py, written anew in float64."""

import json

import pytest
import torch

from lib_sdtune.errors import UserError
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.lora_tools.extract import extract
from tests.lora_tools import files


def approximation(change, rank, quantile, layer):
    """The nearest matrix of a rank, both of its halves cut at a quantile of all their values.

    Singular vectors have no sign of their own, and the quantile sees it, so it is taken from the `layer` (tail ->
    tensor) that is compared.
    """
    u, values, vh = torch.linalg.svd(change.double(), full_matrices=False)
    sign = (vh[:rank] * layer["lora_down.weight"].flatten(1)).sum(1).sign()
    up, down = u[:, :rank] * values[:rank] * sign, vh[:rank] * sign[:, None]
    if quantile < 1:
        bound = float(torch.quantile(torch.cat([up.flatten(), down.flatten()]), quantile))
        up, down = up.clamp(-bound, bound), down.clamp(-bound, bound)
    return up @ down


@pytest.mark.parametrize(("family", "conv_dim", "quantile"), [("sd1", 0, 0.99), ("sd2", 3, 1.0), ("sdxl", 2, 0.9)])
def test_the_difference_of_two_checkpoints(tmp_path, family, conv_dim, quantile):
    original = files.checkpoint(tmp_path / "before.safetensors", family)
    tuned = files.checkpoint(tmp_path / "after.safetensors", family, change=0.02)
    extract(original, tuned, tmp_path / "lora.safetensors", 4, conv_dim, quantile)
    layers, facts = files.layers(tmp_path / "lora.safetensors")
    first, second = files.TINY[family](), files.TINY[family]()
    for model, path in ((first, original), (second, tuned)):
        tensors = safetensors.read(path)[0]
        for name, module in model.modules():
            module.load_state_dict({key: tensors[model.family.prefixes[name] + key] for key in module.state_dict()})
    targets = [
        (before, after)
        for before, after in zip(first.family.targets(first), second.family.targets(second), strict=True)
        if conv_dim or before.kind == "attention"
    ]
    assert {before.key for before, _ in targets} == set(layers)
    for before, after in targets:
        change = (after.layer.weight - before.layer.weight).flatten(1)
        rank = conv_dim if before.layer.weight.ndim == 4 and before.layer.weight.shape[-1] > 1 else 4
        extracted = files.product(layers[before.key])
        assert torch.allclose(extracted, approximation(change, rank, quantile, layers[before.key]), atol=1e-5), before.key
    assert facts["ss_network_dim"] == "4" and facts["ss_network_alpha"] == "4.0"
    assert json.loads(facts.get("ss_network_args", "{}")).get("conv_dim") == (str(conv_dim) if conv_dim else None)
    assert facts["ss_base_model_version"] == first.family.base_model_version
    assert facts["modelspec.architecture"].endswith("/lora") and len(facts["sshs_model_hash"]) == 64


def test_an_equal_text_encoder_is_left_out(tmp_path):
    original = files.checkpoint(tmp_path / "before.safetensors")
    tensors = safetensors.read(original)[0]
    safetensors.write(
        tmp_path / "after.safetensors",
        {name: tensor + 0.005 if "to_q" in name or "mlp" in name else tensor for name, tensor in tensors.items()},
        {},
    )
    extract(original, tmp_path / "after.safetensors", tmp_path / "lora.safetensors", 1)
    assert not [key for key in files.layers(tmp_path / "lora.safetensors")[0] if key.startswith("lora_te")]
    extract(original, tmp_path / "after.safetensors", tmp_path / "all.safetensors", 1, min_diff=0.001)
    assert [key for key in files.layers(tmp_path / "all.safetensors")[0] if key.startswith("lora_te")]


def test_checkpoints_without_a_difference_or_of_two_families_are_refused(tmp_path):
    original = files.checkpoint(tmp_path / "before.safetensors")
    (tmp_path / "copy.safetensors").write_bytes(original.read_bytes())
    with pytest.raises(UserError, match="the same weights"):
        extract(original, tmp_path / "copy.safetensors", tmp_path / "x.safetensors", 4)
    other = files.checkpoint(tmp_path / "sdxl.safetensors", "sdxl")
    with pytest.raises(UserError, match="SD1 and sdxl.safetensors of SDXL"):
        extract(original, other, tmp_path / "x.safetensors", 4)
    with pytest.raises(UserError, match="not a checkpoint"):
        extract(original, files.lora(tmp_path / "lora.safetensors"), tmp_path / "x.safetensors", 4)
    assert not (tmp_path / "x.safetensors").exists()
