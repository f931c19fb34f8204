"""The tensors of a checkpoint's file, read as far as they are asked for, under the names that a loaded model has."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.formats import bounds
from lib_sdtune.ldm import checkpoint
from lib_sdtune.ldm.openclip_names import OpenCLIPTensor, openclip_tensor

ENCODER = re.compile(r"(conditioner\.embedders\.\d+\.|cond_stage_model\.)(?:transformer\.)?(.+)")


class StoredTensor(NamedTuple):
    """A tensor of a checkpoint's file; `read(rows)` fetches the numbers of these rows, `read(None)` all."""

    shape: tuple[int, ...]
    read: Callable[[Sequence[int] | None], torch.Tensor]

    def at(self, where: OpenCLIPTensor) -> "StoredTensor":
        """The part of it, or the view of it, that an encoder under Hugging Face's names has for itself."""
        if where.transposed:
            return StoredTensor(self.shape[::-1], lambda rows: rows_of(self.read(None).T, rows))
        if where.third is None:
            return self
        count = self.shape[0] // 3
        first = where.third * count

        def read(rows: Sequence[int] | None) -> torch.Tensor:
            return self.read(None)[first:first + count] if rows is None else self.read([first + row for row in rows])

        return StoredTensor((count, *self.shape[1:]), read)


def stored_tensors(path: Path) -> dict[str, StoredTensor]:
    """{name in the model: `StoredTensor`}; {} for a file that cannot be read."""
    try:
        if checkpoint.is_safetensors(path):
            return in_safetensors(path)
        entries, _ = checkpoint.read_any(path)
    except (UserError, OSError):
        return {}
    return {checkpoint.rename(name): StoredTensor(tuple(tensor.shape), partial(rows_of, tensor))
            for name, tensor in entries.items() if isinstance(tensor, torch.Tensor)}


def in_safetensors(path: Path) -> dict[str, StoredTensor]:
    from safetensors import safe_open

    header = bounds.read_header(path)
    file = safe_open(path, framework="pt")  # it is mapped, so that only what is compared is read
    return {checkpoint.rename(name): StoredTensor(tuple(entry["shape"]), partial(read_rows, file, name))
            for name, entry in header.items() if name != "__metadata__"}


def read_rows(file: Any, name: str, chosen: Sequence[int] | None) -> torch.Tensor:
    if chosen is None:
        return file.get_tensor(name)
    entry = file.get_slice(name)
    return torch.cat([entry[row:row + 1] for row in chosen])


def rows_of(tensor: torch.Tensor, chosen: Sequence[int] | None) -> torch.Tensor:
    return tensor if chosen is None else tensor[torch.tensor(chosen, device=tensor.device)]


def entry_of(name: str, stored: Mapping[str, StoredTensor]) -> StoredTensor | None:
    """What a file has for a tensor of the model, also where the model has OpenCLIP's encoder under other names."""
    encoder = ENCODER.match(name)
    if name in stored or encoder is None:
        return stored.get(name)
    where = openclip_tensor(encoder[2])
    entry = stored.get(f"{encoder[1]}model.{where.name}")
    return None if entry is None else entry.at(where)
