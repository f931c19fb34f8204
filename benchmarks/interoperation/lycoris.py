"""LyCORIS (lycoris-lora), on the models of sd-scripts, whose network module it is."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lycoris import kohya
from lycoris.config import PRESET
from safetensors.torch import load_file

from benchmarks.interoperation import ours
from benchmarks.interoperation.ours import ALPHA, DIM, Model
from benchmarks.interoperation.result import Result, difference
from benchmarks.interoperation.sd_scripts import TheirModel

NAME = "LyCORIS"
NETWORKS = ("lora", "loha", "lokr", "dora", "ia3", "diag-oft", "boft", ours.NORMS)
# its loader knows neither (IA)³'s on_input nor a DoRA's lengths of inputs, and miscounts the kernel of a LoKr's 3x3
AS_IN_TRAINING = ("ia3", "dora", "lokr")
ARGUMENTS = {"lora": {"algo": "lora"}, ours.NORMS: {"algo": "lora", "train_norm": True},
             "dora": {"algo": "lora", "dora_wd": True, "wd_on_output": False}}


def made(network: Any) -> list[Any]:
    return network.unet_loras + network.text_encoder_loras


def changes_of(network: Any, keys: Iterable[str]) -> dict[str, torch.Tensor]:
    """Key -> what it changes, of the layers that are compared. The get_diff_weight of LoHa and LoKr has alpha / dim
    twice; what their forward adds is get_weight.
    """
    compared = {each.lora_name: each for each in made(network) if each.lora_name in keys}
    with ours.in_float64():
        return {key: change(each).detach() for key, each in compared.items()}


def change(module: Any) -> torch.Tensor:
    module.double()
    if module.name == "norm":
        return torch.cat(module.get_diff_weight())
    module.org_module[0].double()
    if module.name in ("loha", "kron"):
        return module.get_weight(module.shape)
    if getattr(module, "wd", False):  # of a DoRA get_diff_weight is the LoRA in it
        return module.get_merged_weight()[0] - module.org_weight
    return module.get_diff_weight()[0]


def ours_in_theirs(model: Model, network: str, folder: Path) -> Result:
    """Loaded as its generation loads files, or, `AS_IN_TRAINING`, as a training goes on from a file."""
    path = folder / f"ours-{model.name}-{network}.safetensors"
    changes = ours.write(path, model, network, convolutions=network != "ia3")
    their_model = TheirModel(model)
    parts = their_model.text_encoder, their_model.unet
    if network in AS_IN_TRAINING:
        their_network, tensors = network_to_train(path, parts, network)
    else:
        kohya.LycorisNetworkKohya.apply_preset(PRESET["attn-mlp"])  # of which it makes one before it reads the file
        their_network, tensors = kohya.create_network_from_weights(1.0, str(path), None, *parts)
    layers = {name.partition(".")[0] for name in tensors}
    their_layers = {each.lora_name: each for each in made(their_network)}
    left_over = [name for name in tensors if not takes(their_layers.get(name.partition(".")[0]), name)]
    theirs = changes_of(their_network, changes)
    return Result(NAME, model.name, network, "ours", len(layers), tuple(left_over), len(changes),
                  difference(changes, theirs))


def network_to_train(path: Path, parts: tuple[Any, Any], network: str) -> tuple[Any, dict[str, torch.Tensor]]:
    tensors = load_file(path)
    preset = "attn-mlp" if network == "ia3" else full(path.parent)
    their_network = kohya.create_network(1.0, DIM, ALPHA, None, *parts, preset=preset,
                                         **ARGUMENTS.get(network, {"algo": network}))
    layers = {name.partition(".")[0] for name in tensors}
    for kind in ("unet_loras", "text_encoder_loras"):
        setattr(their_network, kind, [each for each in getattr(their_network, kind) if each.lora_name in layers])
    their_network.apply_to(*parts, True, True)
    if network == "ia3":  # the file tells of each layer which side it scales
        for each in made(their_network):
            each.train_input = bool(tensors[f"{each.lora_name}.on_input"])
            each.weight.data = tensors[f"{each.lora_name}.weight"].clone()
    their_network.load_state_dict(tensors, strict=True)
    return their_network, tensors


def full(folder: Path) -> str:
    """Its preset "full" as a file, without the class that 4.1.3 names beside the layers in it: sd-scripts' models have
    both, and it refuses to adapt them twice.
    """
    preset = {key: value for key, value in PRESET["full"].items() if isinstance(value, list | bool)}
    preset["unet_target_module"] = [name for name in preset["unet_target_module"] if name != "TimestepEmbedding"]
    path = folder / "full.toml"
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in preset.items()), encoding="utf-8")
    return str(path)


def takes(module: Any, name: str) -> bool:
    return module is not None and name.partition(".")[2] in {*module.weight_list, "alpha"}


def theirs_in_ours(model: Model, network: str, folder: Path) -> Result:
    """A file that it saves, with its preset "full", which adapts more layers than any other."""
    their_model = TheirModel(model)
    parts = their_model.text_encoder, their_model.unet
    their_network = kohya.create_network(1.0, DIM, ALPHA, None, *parts, conv_dim=DIM, conv_alpha=2,
                                         preset=full(folder), **ARGUMENTS.get(network, {"algo": network}))
    their_network.apply_to(*parts, True, True)
    torch.manual_seed(2)
    for parameter in their_network.parameters():
        parameter.data += torch.randn(parameter.shape) * 0.05
    path = folder / f"theirs-{model.name}-{network}.safetensors"
    their_network.save_weights(str(path), torch.float32, {})
    theirs = changes_of(their_network, {*model.weights, *model.norms})
    layers, left_over, changes = ours.read(path, model)
    return Result(NAME, model.name, network, "theirs", layers, left_over, len(theirs), difference(theirs, changes))
