"""The layers of LoRA files as the tools want them: checked, and their changes in the shape of a layer."""

import re

import torch

from lib_sdtune.artefacts.lora import LoraFile
from lib_sdtune.errors import UserError
from lib_sdtune.families import registry as families
from lib_sdtune.networks.delta import algorithm, delta

KERNEL = re.compile(r"_(in_layers_2|out_layers_3|op|conv|conv1|conv2)$")
"""Names of the 3x3 convolutions; a LoHa's tensors and some of LoKr's do not tell the kernel."""
POINTWISE = re.compile(r"_(skip_connection|conv_shortcut)$")
PROJECTION = re.compile(r"_proj_(in|out)$")  # in attention blocks; those within transformers are always linear


def check(file: LoraFile) -> None:
    """UserError for layers of a kind that is not known, for numbers that are none, and for a file without layers."""
    if not file.layers:
        raise UserError(f"{file.path.name} changes no layer.")
    unknown = [key for key, tensors in file.layers.items() if not algorithm(tensors)]
    if unknown:
        tails = ", ".join(sorted(file.layers[unknown[0]]))
        more = f" and {len(unknown) - 1} more" if unknown[1:] else ""
        raise UserError(
            f"{file.path.name} has {unknown[0]}{more} in a form that is not known here ({tails}); "
            "LoRA, LoCon, LoHa, LoKr, DoRA, (IA)³, OFT, BOFT and norms are."
        )
    for key, tensors in file.layers.items():
        if any(tensor.is_floating_point() and not torch.isfinite(tensor).all() for tensor in tensors.values()):
            raise UserError(f"{file.path.name} is damaged: {key} holds values that are no numbers.")
        if any(not tensor.numel() or tensor.is_complex() for tensor in tensors.values()) or not fit(tensors):
            raise UserError(f"{file.path.name} is damaged: the tensors of {key} do not fit each other.")


def fit(tensors: dict[str, torch.Tensor]) -> bool:
    """Whether a LoRA's two halves can be multiplied, and its alpha is one number; other kinds say so themselves."""
    down, up = tensors.get("lora_down.weight"), tensors.get("lora_up.weight")
    if tensors.get("alpha", torch.ones(())).numel() != 1:
        return False
    if down is None or up is None:
        return True
    return {down.ndim, up.ndim} <= {2, 4} and up.shape[1] == down.shape[0]


def change_of(file: LoraFile, key: str, weight: torch.Tensor | None = None, device: str = "cpu", tail: str = ""
              ) -> torch.Tensor:
    """The change of a layer's weight in its shape, float32 on `device`; errors as in `delta`, with the file and the
    layer named.

    tail: of the one tensor that is a change by itself, such as that of a norm's bias.
    """
    tensors = {tail: tensor.to(device) for tail, tensor in file.layers[key].items()}
    try:
        result = delta({"diff": tensors[tail]} if tail else tensors, weight)
    except UserError as error:
        raise UserError(f"{file.path.name}, {key}: {error}") from error
    return result if weight is not None else shaped(result, key, file.family)


def shaped(change: torch.Tensor, key: str, family: str) -> torch.Tensor:
    """A matrix as the convolution that the layer's name says it is."""
    if change.ndim != 2:
        return change
    if KERNEL.search(key) and change.shape[1] % 9 == 0:
        return change.reshape(len(change), -1, 3, 3)
    projects = bool(PROJECTION.search(key)) and "transformer_blocks" not in key
    if POINTWISE.search(key) or projects and family and not families[family].linear_projections:
        return change[:, :, None, None]
    return change


def halves(up: torch.Tensor, down: torch.Tensor, shape: torch.Size) -> dict[str, torch.Tensor]:
    """(out, r) and (r, in k k) as tail -> tensor of a layer of that shape."""
    kernel = shape[2:]
    return {
        "lora_up.weight": up.reshape(*up.shape, *[1] * len(kernel)).contiguous(),
        "lora_down.weight": down.reshape(len(down), *shape[1:]).contiguous(),
    }
