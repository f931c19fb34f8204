"""Whether the lent weights can be trained and written at all, looked at before anything else is done with them."""

import torch

from lib_sdtune.devices import HALVES
from lib_sdtune.errors import UserError
from lib_sdtune.host.base import LoadedModel


def refuse_broken_weights(model: LoadedModel, written_as: torch.dtype | None = None) -> None:
    """UserError naming the first tensor with values that are not numbers, or too large for the file that is to be written.

    written_as: the number format in which the weights themselves are to be written; None where they are not.
    """
    names, peaks = [], []
    for part, module in model.modules():
        for name, tensor in module.state_dict().items():
            if tensor.dtype in (torch.float32, *HALVES) and tensor.numel() and tensor.device.type != "meta":
                names.append(f"{model.family.prefixes[part]}{name}")
                peaks.append(tensor.abs().amax().float().cpu())  # parts of the model may be elsewhere
    largest = torch.finfo(written_as).max if written_as else torch.inf
    for name, peak in zip(names, torch.stack(peaks).tolist(), strict=True):
        if not peak < torch.inf:
            raise UserError(
                f"The checkpoint is damaged: {name} has values that are not numbers, so every answer of the model would "
                "be wrong, whatever the settings. Choose another checkpoint, or an undamaged copy of this one."
            )
        if peak > largest:
            raise UserError(
                f"{name} has values up to {peak:.3g}, and fp16 files hold {largest:.0f} at most; set \"save.precision\" "
                'to "bf16" or "float".'
            )
