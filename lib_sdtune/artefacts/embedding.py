"""Textual-inversion embeddings: the WebUI's `.pt`, `.safetensors`, and PNGs that carry one.

A file holds one table (n, D) per text tower. With one tower any key will do (the WebUI writes "*", sd-scripts
"emb_params"); with two they are told apart by their keys.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lib_sdtune.artefacts.embedding_picture import read as read_picture
from lib_sdtune.errors import UserError
from lib_sdtune.formats import lookup, pickled
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.formats.bounds import read_header
from lib_sdtune.formats.kinds import KINDS

KIND = KINDS["embeddings"]
COMMA = 265  # the id that every embedding file has carried since the first paper; readers ignore it


def listed(folder: Path) -> dict[str, Path]:
    """name -> path of what may be embeddings."""
    return lookup.by_name(folder, (*KIND.endings, *KIND.pictures))


def find(folder: Path, name: str) -> Path:
    return lookup.find(folder, name, (*KIND.endings, *KIND.pictures), KIND.noun)


def read(path: Path, keys: Sequence[str], widths: Sequence[int]) -> torch.Tensor:
    """The rows (n, sum of `widths`) float32 of a file, for towers of these `widths` whose tables have these `keys`.

    UserError if the file is no embedding, or one of another model family.
    """
    tables = {key: table.detach().float() for key, table in tables_of(path).items()}
    tables = {key: table[None] if table.ndim == 1 else table for key, table in tables.items()}
    if len(keys) == 1 and len(tables) == 1:
        tables = {keys[0]: next(iter(tables.values()))}
    shapes = [tables[key].shape for key in keys if key in tables]
    if len(tables) != len(keys) or len(shapes) != len(keys) or any(len(shape) != 2 for shape in shapes):
        raise UserError(f"{path.name} holds {len(tables)} tables of vectors and this model's embeddings have "
                        f"{len(keys)}: "
                        "it belongs to another model family.")
    if [shape[1] for shape in shapes] != list(widths) or len({shape[0] for shape in shapes}) != 1:
        raise other_widths(path, [shape[1] for shape in shapes], widths)
    rows = torch.cat([tables[key] for key in keys], dim=1)
    if not torch.isfinite(rows).all():
        raise UserError(f"{path.name} holds values that are not numbers, so it is of no use.")
    return rows


def refuse_other_widths(path: Path, widths: Sequence[int]) -> None:
    """UserError for a file that `read` would refuse for towers of these widths, whatever their keys."""
    file_widths = [table.shape[-1] for table in tables_of(path).values()]
    if sorted(file_widths) != sorted(widths):
        raise other_widths(path, file_widths, widths)


def other_widths(path: Path, file_widths: Sequence[int], widths: Sequence[int]) -> UserError:
    return UserError(f"{path.name} has vectors of width {wide(file_widths)} and this model's are {wide(widths)} wide: "
                     "it is an embedding of another model family.")


def wide(widths: Iterable[int]) -> str:
    return " + ".join(str(width) for width in widths)


def steps(path: Path) -> int:
    """For how many steps it has learned, as far as the file says: 0 if it does not."""
    if path.suffix.lower() == ".safetensors":
        facts = read_header(path).get("__metadata__", {})
        count = facts.get("sdtune_total_steps") or facts.get("ss_steps") or "0"
        return int(count) if count.isdecimal() and len(count) < 10 else 0
    data = data_of(path)
    count = data.get("step") if isinstance(data, dict) else None
    return count if isinstance(count, int) and count > 0 else 0


def tables_of(path: Path) -> dict[str, torch.Tensor]:
    """key -> tensor, as the file has them."""
    data = data_of(path)
    if isinstance(data, dict) and "string_to_param" in data:
        data = data["string_to_param"]
    if not isinstance(data, dict):
        raise UserError(f"{path.name} is not an embedding.")
    tables = {key: value for key, value in data.items() if isinstance(value, torch.Tensor)}
    if not tables or any(table.ndim not in (1, 2) for table in tables.values()):
        raise UserError(f"{path.name} is not an embedding.")
    return tables


def data_of(path: Path) -> Any:
    ending = path.suffix.lower()
    if ending in KIND.pictures:
        return read_picture(path)
    return read_safetensors(path) if ending == ".safetensors" else pickled.read(path)


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    read_header(path)
    try:
        return safetensors.read(path)[0]
    except Exception as error:  # whatever a damaged header makes the reader stumble over
        raise pickled.damaged(path) from error


def write(path: Path, rows: torch.Tensor, keys: Sequence[str], widths: Sequence[int], metadata: Mapping[str, str],
          name: str = "", step: int = 0) -> None:
    """Write rows (n, sum of `widths`) in their own dtype; the ending of `path` picks the format.

    `.pt` is the WebUI's dict and has room for one tower. `metadata` is str -> str; a `.pt` keeps the checkpoint's name
    and hash.
    """
    tables = dict(zip(keys, rows.detach().cpu().split(list(widths), dim=1), strict=True))
    tables = {key: table.contiguous() for key, table in tables.items()}
    if path.suffix.lower() == ".safetensors":
        return safetensors.write(path, tables, metadata)
    safetensors.refuse_non_finite(tables, path)
    if len(tables) != 1:
        raise UserError('Embeddings of this model family have no .pt form; set "textual_inversion.save_model_as" to '
                        '"safetensors".')
    table = next(iter(tables.values())).clone()
    pickled.write(path, {"string_to_token": {"*": COMMA}, "string_to_param": {"*": table}, "name": name, "step": step,
                         "sd_checkpoint": metadata.get("ss_sd_model_hash"),
                         "sd_checkpoint_name": metadata.get("ss_sd_model_name")})
