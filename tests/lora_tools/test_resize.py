"""Resizing against the formulas of sd-scripts' resize_lora.py, written anew: a full decomposition, and its three
rules.
"""

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib_sdtune.artefacts import lora
from lib_sdtune.errors import NameTaken, UserError
from lib_sdtune.lora_tools.resize import resize
from tests.lora_tools import files


def reference_rank(values, dim, rule, share):
    """What the rules say of all singular values, in float64."""
    if not rule:
        return dim
    if rule == "sv_ratio":
        index = int((values > values[0] / share).sum())
    else:
        power, goal = (1, share) if rule == "sv_cumulative" else (2, share**2)
        sums = (values**power).cumsum(0) / (values**power).sum()
        index = int((sums < goal).sum()) + 1
    return min(max(1, min(index, len(values) - 1)) + 1, dim)


@pytest.mark.parametrize(("rule", "share"), [("", None), ("sv_ratio", 3.0), ("sv_cumulative", 0.7), ("sv_fro", 0.8)])
def test_every_layer_is_the_nearest_of_its_rank(tmp_path, rule, share):
    source = files.lora(tmp_path / "big.safetensors", dim=8, alpha=2.0)
    target = tmp_path / "small.safetensors"
    result = resize(source, target, 6, dynamic_method=rule, dynamic_param=share)
    before, old_facts = files.layers(source)
    after, facts = files.layers(target)
    assert sorted(before) == sorted(after)
    for key, tensors in before.items():
        up, down = tensors["lora_up.weight"].double().flatten(1), tensors["lora_down.weight"].double().flatten(1)
        u, values, vh = torch.linalg.svd(up @ down)
        rank = min(reference_rank(values, 6, rule, share), len(values))
        nearest = u[:, :rank] * values[:rank] @ vh[:rank] * 2.0 / 8
        assert len(after[key]["lora_down.weight"]) == rank, key
        assert torch.allclose(files.product(after[key]), nearest, atol=1e-6)
        assert float(after[key]["alpha"]) == pytest.approx(rank * 2 / 8)
        assert after[key]["lora_down.weight"].shape[1:] == tensors["lora_down.weight"].shape[1:]
    assert sum(result.dims.values()) == len(before) and (rule == "" or len(result.dims) > 1)
    assert facts["ss_network_dim"] == ("Dynamic" if rule else "6")
    assert facts["ss_network_alpha"] == ("Dynamic" if rule else "1.5")
    assert facts["ss_tag_frequency"] == old_facts["ss_tag_frequency"] and facts["ss_output_name"] == "small"
    assert facts["ss_training_comment"].startswith(
        f"Dynamic resize with {rule}" if rule else "dimension is resized from 8 to 6"
    )
    assert len(facts["sshs_model_hash"]) == 64


@pytest.mark.parametrize("network", ["loha", "lokr", "dora"])
def test_relatives_become_a_lora_of_the_rank(tmp_path, network):
    from lib_sdtune.networks import registry

    source = files.lora(tmp_path / "big.safetensors", network=network, dim=3, alpha=3.0)
    resize(source, tmp_path / "small.safetensors", 16, conv_dim=16)
    model = files.model("sd1")
    before, after = files.layers(source)[0], files.layers(tmp_path / "small.safetensors")[0]
    for target in model.family.targets(model):
        adapter = registry[network](target.layer, 3, 3.0)
        adapter.load_tensors(before[target.key])
        exact = (adapter.low_rank if network == "dora" else adapter).delta_weight().double().flatten(1)
        u, values, vh = torch.linalg.svd(exact, full_matrices=False)
        assert torch.allclose(files.product(after[target.key]), u[:, :16] * values[:16] @ vh[:16], atol=2e-5), (
            target.key
        )
        assert after[target.key]["lora_down.weight"][0].numel() == target.layer.weight[0].numel()
        assert ("dora_scale" in after[target.key]) == (network == "dora")
        if target.layer.weight.ndim == 4:
            assert after[target.key]["lora_down.weight"].shape[1:] == target.layer.weight.shape[1:], target.key


def test_networks_without_a_rank_are_refused(tmp_path):
    files.lora(tmp_path / "turned.safetensors", network="diag-oft")
    with pytest.raises(UserError, match="diag-oft, which has no rank"):
        resize(tmp_path / "turned.safetensors", tmp_path / "small.safetensors", 2)


def test_a_lora_of_zeros_and_a_rank_beyond_its_sides_stay_what_they_are(tmp_path):
    from lib_sdtune.formats import tensors as safetensors

    key = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    safetensors.write(
        tmp_path / "flat.safetensors",
        {f"{key}.lora_down.weight": torch.randn(2, 3), f"{key}.lora_up.weight": torch.zeros(5, 2)},
        {},
    )
    resize(tmp_path / "flat.safetensors", tmp_path / "zero.safetensors", 4)
    layers, _ = files.layers(tmp_path / "zero.safetensors")
    assert len(layers[key]["lora_down.weight"]) == 1 and not files.product(layers[key]).any()
    source = files.lora(tmp_path / "small.safetensors", dim=4, convolutions=False)
    resize(source, tmp_path / "large.safetensors", 64)
    before, (after, facts) = files.layers(source)[0], files.layers(tmp_path / "large.safetensors")
    assert facts["ss_network_dim"] == "4"
    assert all(torch.allclose(files.product(before[key]), files.product(after[key]), atol=1e-6) for key in before)


def test_wrong_input_is_refused_and_nothing_is_written(tmp_path):
    source = files.lora(tmp_path / "a.safetensors", convolutions=False)
    taken = files.lora(tmp_path / "b.safetensors", convolutions=False)
    before = taken.read_bytes()
    with pytest.raises(NameTaken, match="exists already"):
        resize(source, taken, 2)
    with pytest.raises(UserError, match="also one of the files"):
        resize(source, source, 2, overwrite=True)
    with pytest.raises(UserError, match=r"\.safetensors"):
        resize(source, tmp_path / "c.pt", 2)
    with pytest.raises(UserError, match="reserved by Windows"):
        resize(source, tmp_path / "con.safetensors", 2)
    with pytest.raises(UserError, match="between 0 and 1"):
        resize(source, tmp_path / "c.safetensors", 2, dynamic_method="sv_fro", dynamic_param=9)
    with pytest.raises(UserError, match="not a LoRA"):
        resize(files.checkpoint(tmp_path / "model.safetensors"), tmp_path / "c.safetensors", 2)
    assert taken.read_bytes() == before and not list(tmp_path.glob("c.*")) and not list(tmp_path.glob("*.tmp"))
    resize(source, taken, 2, overwrite=True)
    assert taken.read_bytes() != before


def test_what_is_not_known_is_named(tmp_path):
    from lib_sdtune.formats import tensors as safetensors

    safetensors.write(
        tmp_path / "strange.safetensors", {"lora_unet_mid_block_attentions_0_proj_in.glow.weight": torch.ones(2)}, {}
    )
    with pytest.raises(UserError, match=r"lora_unet_mid_block_attentions_0_proj_in .*glow"):
        resize(tmp_path / "strange.safetensors", tmp_path / "c.safetensors", 2)


def test_double_precision_is_not_rounded_to_half(tmp_path):
    source = files.lora(tmp_path / "a.safetensors")
    tensors, facts = load_file(source), files.layers(source)[1]
    save_file({key: tensor.double() for key, tensor in tensors.items()}, source, facts)
    assert lora.read(source).dtype == torch.float32
    resize(source, tmp_path / "b.safetensors", 2)
    written = [tensor for tensors in files.layers(tmp_path / "b.safetensors")[0].values() for tensor in tensors.values()]
    assert {tensor.dtype for tensor in written} == {torch.float32}
