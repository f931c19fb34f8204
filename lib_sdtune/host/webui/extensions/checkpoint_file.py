"""Whether the model still holds what its checkpoint's file holds: some loaders merge LoRAs into it for good.

A merge adds to whole tensors, and may touch any of them: one bias is enough for another training. So every tensor is
compared, but of each only eight rows, one out of every eighth, which also meets a merge into q, k or v of a fused
projection: half a second for an SD1 checkpoint of 1.4 GiB on one core, where all numbers take six. Those are compared
only where another extension had left something else on the model. The file is not read again while it and the model's
rows are as they were when they agreed: a `.ckpt` of torch before 1.6 can only be read whole.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import nn

from lib_sdtune.errors import UserError
from lib_sdtune.formats.tensors import digest
from lib_sdtune.host.webui import forks
from lib_sdtune.host.webui.extensions import buffers, lora_loaders
from lib_sdtune.host.webui.extensions.stored_tensors import StoredTensor, entry_of, rows_of, stored_tensors

UNET = "model.diffusion_model."
SCHEDULE = "alphas_cumprod"
ROWS = 8
PRECISIONS = (None, torch.float16, torch.bfloat16)  # that a weight may have passed on its way from the file


class Agreement(NamedTuple):
    """A file's state, and the digest of the model's rows that agreed with it."""

    file: tuple[Path, int, int, int] | None
    rows: str
    schedule_stored: bool


agreements: WeakKeyDictionary[nn.Module, Agreement] = WeakKeyDictionary()
"""The last one of each model."""


def refuse_other_weights(sd_model: nn.Module, everything: bool = False) -> None:
    """UserError that names a tensor of UNet, VAE or text encoder whose numbers are not the file's.

    everything: compare all numbers, not some rows. The built-in LoRAs have to be out. A file that is gone or cannot be
    read tells nothing, and a VAE that was chosen in the settings is not the checkpoint's own.
    """
    path = Path(sd_model.sd_checkpoint_info.filename)
    exchanged = forks.current().exchanged_parts()
    tensors = {name: tensor for name, tensor in lent_tensors(sd_model).items() if not name.startswith(exchanged)}
    state, agreement = state_of(path), agreements.get(sd_model)
    if not everything and agreement and agreement[:2] == (state, digest_of_rows(tensors)):
        buffers.refuse_exchanged(sd_model, agreement.schedule_stored)
        return
    stored = stored_tensors(path)
    buffers.refuse_exchanged(sd_model, schedule_stored=not stored or SCHEDULE in stored)
    if not stored:
        return
    for name in tensors:
        if name.startswith(UNET) and name not in stored:
            raise UserError(f"{name} was added to the UNet by another extension; restart the WebUI, or switch that "
                            "extension off, then start again.")
    entries = {name: entry for name in tensors if (entry := entry_of(name, stored)) is not None}
    different = [name for name, entry in entries.items()
                 if tuple(tensors[name].shape) == entry.shape
                 and not holds(tensors[name], entry, None if everything else rows(name, entry.shape))]
    if different:
        more = f", nor do {len(different) - 1} more tensors" if different[1:] else ""
        raise UserError(f"{different[0]} does not hold what {path.name} holds{more}: {lora_loaders.suspects()} has "
                        "merged a LoRA into it or exchanged it, or the file was replaced. Load the checkpoint again "
                        "(choose another one, then this one), restart the WebUI or switch off the extension that "
                        "changed it, then start again.")
    agreements[sd_model] = Agreement(state, digest_of_rows(tensors), SCHEDULE in stored)


def state_of(path: Path) -> tuple[Path, int, int, int] | None:
    """Its path, time, size and inode; None where there is no file."""
    if not path.is_file():
        return None
    status = path.stat()
    return path, status.st_mtime_ns, status.st_size, status.st_ino


def digest_of_rows(tensors: Mapping[str, torch.Tensor]) -> str:
    """Of the rows that are compared, with every tensor's name and number format."""
    return digest({name: rows_of(tensor.detach(), rows(name, tensor.shape)).cpu() for name, tensor in tensors.items()})


def lent_tensors(sd_model: nn.Module) -> dict[str, torch.Tensor]:
    """{name as `entry_of` takes it: parameter or noise schedule}, without the WebUI's wrappers' names."""
    tensors = {name.replace(".wrapped", ""): tensor for name, tensor in sd_model.named_parameters()
               if not name.startswith("model_ema.")}
    schedule = getattr(sd_model, "alphas_cumprod_original", None)
    return tensors if schedule is None else tensors | {SCHEDULE: schedule}


def rows(name: str, shape: Sequence[int]) -> list[int] | None:
    """One row out of every eighth of a tensor, the same at every call; None, all of it, for a vector or a few rows."""
    if len(shape) < 2 or shape[0] <= ROWS:
        return None
    seeded = random.Random(name)
    return [seeded.randrange(shape[0] * part // ROWS, shape[0] * (part + 1) // ROWS) for part in range(ROWS)]


@torch.no_grad()
def holds(tensor: torch.Tensor, stored: StoredTensor, chosen: Sequence[int] | None) -> bool:
    """Whether a tensor's rows are the file's, by whichever precision they have passed; NaN is like NaN."""
    present, numbers = rows_of(tensor, chosen), stored.read(chosen).to(tensor.device)
    casts = (numbers if precision is None else numbers.to(precision) for precision in PRECISIONS)
    return any(same_numbers(present, cast.to(present.dtype)) for cast in casts)


def same_numbers(tensor: torch.Tensor, other: torch.Tensor) -> bool:
    # torch.equal is the faster of the two
    return torch.equal(tensor, other) or torch.allclose(tensor, other, rtol=0, atol=0, equal_nan=True)
