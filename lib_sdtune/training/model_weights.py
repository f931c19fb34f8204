"""Whether the lent weights can be trained and written at all, looked at before anything else is done with them."""

from collections.abc import Collection

import torch

from lib_sdtune.config import Config
from lib_sdtune.data.caption_checks import named_embeddings
from lib_sdtune.data.problem import printable
from lib_sdtune.data.scan import Scan
from lib_sdtune.devices import HALVES
from lib_sdtune.errors import UserError
from lib_sdtune.loaded_model import LoadedModel


def peaks(model: LoadedModel, without: Collection[torch.Tensor] = ()) -> list[tuple[str, torch.dtype, float]]:
    """(name in the checkpoint, number format, largest absolute value) of every floating tensor; NaN where one value is.

    without: tensors that are passed over.
    """
    passed, described, values = {id(tensor) for tensor in without}, [], []
    for part, module in model.modules():
        for name, tensor in module.state_dict(keep_vars=True).items():
            has_values = tensor.dtype in (torch.float32, *HALVES) and tensor.numel() and tensor.device.type != "meta"
            if has_values and id(tensor) not in passed:
                described.append((f"{model.family.prefixes[part]}{name}", tensor.dtype))
                values.append(tensor.detach().abs().amax().float().cpu())  # parts of the model may be elsewhere
    numbers = torch.stack(values).tolist() if values else []
    return [(name, dtype, peak) for (name, dtype), peak in zip(described, numbers, strict=True)]


def refuse_broken_weights(model: LoadedModel, written_as: torch.dtype | None = None) -> None:
    """UserError naming the first tensor with values that are not numbers, or too large for the file that is to be
    written.

    written_as: the number format in which the weights themselves are to be written; None where they are not.
    """
    largest = torch.finfo(written_as).max if written_as else torch.inf
    for name, dtype, peak in peaks(model):
        if peak == torch.inf and dtype == torch.float16:
            flag = "--no-half-vae" if name.startswith(model.family.prefixes["vae"]) else "--no-half"
            raise UserError(
                f"{name} has values that are larger than half precision holds, so every answer of the model would be "
                f"wrong, whatever the settings. Start the WebUI with {flag}, or choose another checkpoint."
            )
        if not peak < torch.inf:
            raise UserError(
                f"The checkpoint is damaged: {name} has values that are not numbers, so every answer of the "
                "model would be wrong, whatever the settings. Choose another checkpoint, or an undamaged copy of this "
                "one."
            )
        if peak > largest:
            raise UserError(
                f'{name} has values up to {peak:.3g}, and fp16 files hold {largest:.0f} at most; set "save.precision" '
                'to "bf16" or "float".'
            )


def refuse_broken_embeddings(model: LoadedModel, scan: Scan, config: Config) -> None:
    """UserError naming an embedding that captions name and that has values which are not numbers."""
    for name, vectors in model.embeddings.items():
        if not torch.isfinite(vectors).all() and named_embeddings(scan, config, [name], model.tokenizer):
            raise UserError(
                f'The embedding "{printable(name)}" is damaged: captions name it, and it holds values that are not '
                "numbers. Take its file out of the embeddings folder, or the word out of the captions."
            )
