"""kohya's sd-scripts: its models without weights, networks.lora, and the formulas that its training is made of.

Its folder is named on the command line; it wants diffusers, transformers and what these want.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.interoperation import ours
from benchmarks.interoperation.ours import ALPHA, DIM, Model
from benchmarks.interoperation.result import Result, difference
from benchmarks.interoperation.text_encoders import text_encoders

NAME = "sd-scripts"
NETWORKS = ("lora",)


class TheirModel:
    """unet and text_encoders as it builds them for a family, with our weights where they are compared."""

    def __init__(self, model: Model):
        with torch.device("meta"):
            if model.name == "sdxl":
                from library.sdxl_original_unet import SdxlUNet2DConditionModel

                self.unet: Any = SdxlUNet2DConditionModel()
            else:
                from library import model_util
                from library.original_unet import UNet2DConditionModel

                self.unet = UNet2DConditionModel(**model_util.create_unet_diffusers_config(model.name == "sd2", True))
            self.text_encoders = text_encoders(model.name)
        for key, layer in self.layers():
            ours.fill(layer, model.weights.get(key))

    @property
    def text_encoder(self) -> Any:
        """As its scripts hand it over: a list for SDXL."""
        return self.text_encoders if len(self.text_encoders) > 1 else self.text_encoders[0]

    def layers(self) -> Iterator[tuple[str, Any]]:
        """(its name of a layer in files, layer)."""
        parts = [("lora_unet", self.unet)]
        numbers = ("1", "2") if len(self.text_encoders) > 1 else ("",)
        parts += [(f"lora_te{number}", part) for number, part in zip(numbers, self.text_encoders, strict=True)]
        for prefix, part in parts:
            for name, layer in part.named_modules():
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    yield f"{prefix}_{name}".replace(".", "_"), layer


def ours_in_theirs(model: Model, network: str, folder: Path) -> Result:
    """networks.lora's network made from a file of ours, as its generation and --network_weights make it."""
    from networks import lora

    path = folder / f"ours-{model.name}-{network}.safetensors"
    changes = ours.write(path, model, network)
    their_model = TheirModel(model)
    their_network, tensors = lora.create_network_from_weights(
        1.0, str(path), None, their_model.text_encoder, their_model.unet, for_inference=True)
    their_network.apply_to(their_model.text_encoder, their_model.unet)
    outcome = their_network.load_state_dict(tensors, strict=False)
    their_layers = their_network.unet_loras + their_network.text_encoder_loras
    theirs = {each.lora_name: each.double().get_weight() for each in their_layers if each.lora_name in changes}
    left_over = *outcome.unexpected_keys, *outcome.missing_keys
    return Result(NAME, model.name, network, "ours", len(their_layers), left_over, len(changes),
                  difference(changes, theirs))


def theirs_in_ours(model: Model, network: str, folder: Path) -> Result:
    """A file that networks.lora saves."""
    from networks import lora

    their_model = TheirModel(model)
    their_network = lora.create_network(1.0, DIM, ALPHA, None, their_model.text_encoder, their_model.unet, conv_dim=4,
                                        conv_alpha=2)
    their_network.apply_to(their_model.text_encoder, their_model.unet, True, True)
    torch.manual_seed(2)
    their_layers = their_network.unet_loras + their_network.text_encoder_loras
    for each in their_layers:
        nn.init.normal_(each.lora_up.weight, std=0.05)
    path = folder / f"theirs-{model.name}-{network}.safetensors"
    their_network.save_weights(str(path), torch.float32, {})
    theirs = {each.lora_name: product(each) for each in their_layers if each.lora_name in model.weights}
    layers, left_over, changes = ours.read(path, model)
    return Result(NAME, model.name, network, "theirs", layers, left_over, len(theirs), difference(theirs, changes))


def product(module: Any) -> torch.Tensor:
    up, down = module.lora_up.weight.detach().double(), module.lora_down.weight.detach().double()
    return (up.flatten(1) @ down.flatten(1)) * module.scale
