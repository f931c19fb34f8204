"""Merging LoRAs with each other and into checkpoints: sums of their changes by the formulas, in float64."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lib_sdtune.errors import RunError, UserError
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.ldm import config_yaml
from lib_sdtune.lora_tools.merge import merge
from lib_sdtune.lora_tools.merge_into_checkpoint import merge_into_checkpoint
from lib_sdtune.lora_tools.resize import resize
from lib_sdtune.networks import registry
from tests.lora_tools import files
from tests.lora_tools.test_extract import approximation


def summed(paths, ratios):
    """key -> the sum of the changes."""
    total = {}
    for path, ratio in zip(paths, ratios, strict=True):
        for key, tensors in files.layers(path)[0].items():
            total[key] = total.get(key, 0) + ratio * files.product(tensors)
    return total


@pytest.fixture
def pair(tmp_path):
    """Two LoRAs of different ranks and strengths; only the second has convolutions."""
    return [
        files.lora(tmp_path / "a.safetensors", dim=4, alpha=2.0, seed=1, convolutions=False),
        files.lora(tmp_path / "b.safetensors", dim=3, alpha=6.0, seed=2),
    ]


def test_side_by_side_is_the_exact_sum(tmp_path, pair):
    target = tmp_path / "sum.safetensors"
    count = merge(pair, [0.5, -1.25], target)
    merged, facts = files.layers(target)
    expected = summed(pair, [0.5, -1.25])
    assert count == len(expected) and merged.keys() == expected.keys()
    for key, tensors in merged.items():
        assert torch.allclose(files.product(tensors), expected[key], atol=1e-6), key
    assert {len(tensors["lora_down.weight"]) for tensors in merged.values()} == {3, 7}
    assert facts["ss_network_dim"] == "Dynamic" and facts["ss_base_model_version"] == "sd_v1"
    assert facts["modelspec.merged_from"] == "a, b" and facts["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert len(facts["sshs_model_hash"]) == 64


@pytest.mark.parametrize("quantile", [0.99, 1.0])
def test_brought_to_a_rank(tmp_path, pair, quantile):
    target = tmp_path / "sum.safetensors"
    merge(pair, [1.0, 0.3], target, dim=3, conv_dim=2, clamp_quantile=quantile)
    merged, facts = files.layers(target)
    for key, change in summed(pair, [1.0, 0.3]).items():
        kernel = merged[key]["lora_down.weight"].shape[2:]
        rank = 2 if kernel and kernel[0] > 1 else 3
        approximated = files.product(merged[key])
        assert torch.allclose(approximated, approximation(change, rank, quantile, merged[key]), atol=2e-5), key
        assert float(merged[key]["alpha"]) == len(merged[key]["lora_down.weight"]) == rank
    assert facts["ss_network_dim"] == "3" and json.loads(facts["ss_network_args"]) == {
        "conv_alpha": "2.0",
        "conv_dim": "2",
    }


def test_half_precision_stays_and_the_strongest_is_not_rounded_again(tmp_path):
    pair = [
        files.lora(tmp_path / f"{n}.safetensors", seed=n, convolutions=False, precision=torch.float16) for n in (1, 2)
    ]
    merge(pair, [1.0, 0.5], tmp_path / "sum.safetensors")
    merged, first = files.layers(tmp_path / "sum.safetensors")[0], files.layers(pair[0])[0]
    assert merged and merged.keys() == first.keys()
    for key, tensors in merged.items():
        assert tensors["lora_up.weight"].dtype == torch.float16
        assert torch.equal(tensors["lora_up.weight"][:, :4], first[key]["lora_up.weight"])


@pytest.mark.parametrize(
    ("family", "network"),
    [("sd1", "lora"), ("sd2", "lora"), ("sdxl", "lora"), ("sd1", "loha"), ("sd2", "lokr"), ("sdxl", "dora"),
     ("sd2", "ia3"), ("sdxl", "diag-oft"), ("sd1", "boft")],
)
def test_into_a_checkpoint(tmp_path, family, network):
    """Every layer is W + ratio * change, every other tensor bit for bit what it was."""
    base = files.checkpoint(tmp_path / "base.safetensors", family, precision=torch.float16)
    source = files.lora(tmp_path / "a.safetensors", family, network)
    target = tmp_path / "merged.safetensors"
    merge_into_checkpoint(base, [source], [0.7], target)
    before, after = safetensors.read(base)[0], safetensors.read(target)[0]
    model = files.TINY[family]()
    for name, module in model.modules():
        module.load_state_dict(
            {key: before[model.family.prefixes[name] + key].float() for key in module.state_dict()}
        )
    with torch.no_grad():
        layers = files.layers(source)[0]
        for item in list(model.family.targets(model)):
            adapter = registry[network](item.layer, 4, 2.0)
            adapter.load_tensors(layers[item.key])
            parameter, rows = item.source
            parameter[rows] += 0.7 * adapter.delta_weight()
    expected = {
        model.family.prefixes[part] + name: tensor
        for part, module in model.modules()
        for name, tensor in module.state_dict().items()
    }
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert len(changed) > 100
    for name, tensor in after.items():
        assert tensor.dtype == before[name].dtype
        assert torch.allclose(tensor.float(), expected[name].float(), rtol=2e-3, atol=1e-6), name
        assert name in changed or torch.equal(tensor, before[name])


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_norms_go_into_a_checkpoint_and_add_up(tmp_path, family):
    base = files.checkpoint(tmp_path / "base.safetensors", family)
    first, second = (files.lora(tmp_path / f"{seed}.safetensors", family, seed=seed, norms=True) for seed in (1, 2))
    merge_into_checkpoint(base, [first], [0.5], tmp_path / "merged.safetensors")
    before, after = (safetensors.read(path)[0] for path in (base, tmp_path / "merged.safetensors"))
    changes, model = files.layers(first)[0], files.model(family)
    names = {id(parameter): name for name, parameter in model.unet.named_parameters()}
    for target in model.family.norm_targets(model):
        for parameter, tail in ((target.layer.weight, "w_norm"), (target.layer.bias, "b_norm")):
            name = model.family.prefixes["unet"] + names[id(parameter)]
            assert torch.allclose(after[name] - before[name], 0.5 * changes[target.key][tail], atol=1e-6)
    for dim in (0, 4):
        merge([first, second], [1.0, 0.5], tmp_path / "sum.safetensors", dim=dim, overwrite=True)
        added = files.layers(tmp_path / "sum.safetensors")[0]
        for key, tensors in files.layers(second)[0].items():
            for tail in ("w_norm", "b_norm") if "w_norm" in tensors else ():
                assert torch.allclose(added[key][tail], changes[key][tail] + 0.5 * tensors[tail])
    resize(second, tmp_path / "small.safetensors", 2)
    small, whole = files.layers(tmp_path / "small.safetensors")[0], files.layers(second)[0]
    assert all(torch.equal(small[key]["b_norm"], each["b_norm"]) for key, each in whole.items() if "b_norm" in each)


def test_other_programs_names_mean_the_same_layers(tmp_path):
    """diffusers' names for SDXL, the checkpoint's for SD1, and PEFT's with dots."""
    key = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"
    halves = {"lora_down": torch.randn(2, 32), "lora_up": torch.randn(32, 2)}
    names = {
        "kohya": {f"{key}.{half}.weight": tensor for half, tensor in halves.items()},
        "checkpoint": {
            f"lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.{half}.weight": tensor
            for half, tensor in halves.items()
        },
        "peft": {
            f"unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.{half}.weight": tensor
            for half, tensor in zip(("lora_A", "lora_B"), halves.values(), strict=True)
        },
    }
    for family in ("sd1", "sdxl"):
        base, results = files.checkpoint(tmp_path / f"{family}.safetensors", family), []
        for program, tensors in names.items():
            source, target = tmp_path / f"{program}.safetensors", tmp_path / f"{family}-{program}.safetensors"
            safetensors.write(source, tensors, {})
            assert merge_into_checkpoint(base, [source], [1.0], target) == 1
            results.append(safetensors.read(target)[0])
        name = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight"
        expected = safetensors.read(base)[0][name] + halves["lora_up"] @ halves["lora_down"]
        assert all(torch.allclose(result[name], expected, atol=1e-5) for result in results)


def test_what_does_not_belong_is_refused_before_anything_is_written(tmp_path):
    sd1, sdxl = (files.lora(tmp_path / f"{family}.safetensors", family) for family in ("sd1", "sdxl"))
    base, target = files.checkpoint(tmp_path / "base.safetensors"), tmp_path / "x.safetensors"
    with pytest.raises(UserError, match="only LoRAs of one family"):
        merge([sd1, sdxl], [1, 1], target)
    with pytest.raises(UserError, match="sdxl.safetensors is a LoRA for SDXL and base.safetensors is SD1"):
        merge_into_checkpoint(base, [sdxl], [1.0], target)
    nameless = files.lora(tmp_path / "nameless.safetensors", "sdxl", metadata={})
    with pytest.raises(UserError, match="is a LoRA for SDXL|which has no lora_"):
        merge_into_checkpoint(base, [nameless], [1.0], target)
    dora = files.lora(tmp_path / "dora.safetensors", network="dora")
    with pytest.raises(UserError, match="DoRA"):
        merge([sd1, dora], [1, 1], target, dim=8)
    loha = files.lora(tmp_path / "loha.safetensors", network="loha")
    with pytest.raises(UserError, match="give a dim"):
        merge([sd1, loha], [1, 1], target)
    with pytest.raises(UserError, match="LoRAs: 2, ratios: 1"):
        merge([sd1, sd1], [1], target)
    narrow = {
        name: tensor[..., :5].contiguous() if name.endswith("down.weight") and tensor.ndim == 2 else tensor
        for name, tensor in safetensors.read(sd1)[0].items()
    }
    safetensors.write(tmp_path / "narrow.safetensors", narrow, {})
    with pytest.raises(UserError, match="other sizes"):
        merge_into_checkpoint(base, [tmp_path / "narrow.safetensors"], [1.0], target)
    with pytest.raises(UserError, match="different sizes"):
        merge([sd1, tmp_path / "narrow.safetensors"], [1, 1], target)
    files.lora(tmp_path / "turned.safetensors", network="boft")
    with pytest.raises(UserError, match="of the kind boft, whose change depends on the checkpoint"):
        merge([sd1, tmp_path / "turned.safetensors"], [1, 1], target, dim=4)
    with pytest.raises(RunError, match="no numbers"):
        merge_into_checkpoint(base, [sd1], [1e7], target, save_precision="fp16")
    assert not list(tmp_path.glob("x.*"))


def test_loha_adds_up_with_a_lora_when_a_rank_is_given(tmp_path):
    pair = [
        files.lora(tmp_path / "a.safetensors", dim=2),
        files.lora(tmp_path / "b.safetensors", network="loha", dim=2),
    ]
    merge(pair, [1, 1], tmp_path / "sum.safetensors", dim=32, conv_dim=32, clamp_quantile=1)
    merged, (first, second) = files.layers(tmp_path / "sum.safetensors")[0], [files.layers(path)[0] for path in pair]
    for key, tensors in second.items():
        loha = (tensors["hada_w1_a"] @ tensors["hada_w1_b"]) * (tensors["hada_w2_a"] @ tensors["hada_w2_b"]) * 2.0 / 2
        assert torch.allclose(files.product(merged[key]), files.product(first[key]) + loha.double(), atol=1e-4), key


def test_the_yaml_goes_with_the_checkpoint(tmp_path):
    base, source = files.checkpoint(tmp_path / "base.safetensors"), files.lora(tmp_path / "a.safetensors")
    (tmp_path / "base.yaml").write_text("model:\n  params:\n    parameterization: v\n", encoding="utf-8")
    merge_into_checkpoint(base, [source], [1.0], tmp_path / "merged.safetensors")
    assert (tmp_path / "merged.yaml").read_text(encoding="utf-8") == (tmp_path / "base.yaml").read_text(
        encoding="utf-8"
    )


def test_the_yaml_of_a_file_that_was_replaced_does_not_stay(tmp_path, caplog):
    base, source = files.checkpoint(tmp_path / "base.safetensors"), files.lora(tmp_path / "a.safetensors")
    target, theirs = tmp_path / "merged.safetensors", "model:\n  params:\n    parameterization: v\n"
    for text, kept in ((config_yaml.written({"model": {"params": {"parameterization": "v"}}}), []), (theirs.encode(), ["merged.yaml.bak"])):
        target.with_suffix(".yaml").write_bytes(text)
        merge_into_checkpoint(base, [source], [1.0], target, overwrite=True)
        assert sorted(path.name for path in tmp_path.glob("merged.yaml*")) == kept
    assert (tmp_path / "merged.yaml.bak").read_text(encoding="utf-8") == theirs and "is now merged.yaml.bak" in caplog.text


@pytest.mark.parametrize("precision", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_files_in_float8_are_read(tmp_path, precision):
    files_by_kind = {"float8": [], "same": []}  # the same numbers in two formats
    for seed, name in enumerate("ab"):
        with safe_open(files.lora(tmp_path / f"{name}.safetensors", seed=seed), "pt") as file:
            small, facts = {key: file.get_tensor(key).to(precision) for key in file.keys()}, file.metadata()  # noqa: SIM118
        for kind, dtype in (("float8", precision), ("same", torch.float16)):
            files_by_kind[kind].append(tmp_path / f"{kind}-{name}.safetensors")
            save_file({key: tensor.to(dtype) for key, tensor in small.items()}, files_by_kind[kind][-1], facts)
    model, merged = files.checkpoint(tmp_path / "model.safetensors"), {}
    for kind, (first, second) in files_by_kind.items():
        merged[kind] = [tmp_path / f"{kind}-{number}.safetensors" for number in range(4)]
        merge([first, second], [0.5, 1.0], merged[kind][0])
        merge([first, second], [0.5, 1.0], merged[kind][1], dim=2)
        resize(first, merged[kind][2], 2)
        merge_into_checkpoint(model, [first, second], [1.0, 1.0], merged[kind][3])
    for ours, expected in zip(*merged.values(), strict=True):
        ours, expected = load_file(ours), load_file(expected)
        assert ours.keys() == expected.keys() and all(torch.equal(ours[name], expected[name]) for name in expected)
