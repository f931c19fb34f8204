"""CLIP's `position_ids`: which row of its position table each place of a text reads, 0 to 76 in a sound model.

A merge that averages every tensor rounds them too: places then read their neighbour's row. The WebUI uses what the
file says, and so does whatever trains the file.
"""

from collections.abc import Mapping
from typing import Any

import torch

from lib_sdtune.errors import UserError

NAME = "text_model.embeddings.position_ids"
MAX_PLACES = 3  # that a sentence names


def of_module(text_encoder: Any) -> torch.Tensor | None:
    """The position ids that a text encoder uses; None where it counts its places itself."""
    text_model = getattr(text_encoder, "text_model", None)
    return getattr(text_model.embeddings, "position_ids", None) if text_model is not None else None


def take_over(text_encoder: Any, tensors: Mapping[str, torch.Tensor], prefix: str) -> None:
    """Give a text encoder of ours the damaged ids of its file, so that it reads texts as the WebUI does.

    UserError for ids that point out of the table, with which no program could draw.
    """
    ids = tensors.get(prefix + NAME)
    if ids is None or not wrong_places(ids):
        return
    embeddings = text_encoder.text_model.embeddings
    rows = embeddings.position_embedding.num_embeddings
    rows_read = ids.long().reshape(1, -1)  # fractions are cut off, as copying into the WebUI's buffer does
    if rows_read.shape[1] != rows or int(rows_read.min()) < 0 or int(rows_read.max()) >= rows:
        raise UserError(
            f"The text encoder's position_ids are damaged and point out of its table of {rows} rows, so that "
            "nothing can be drawn with this checkpoint; take one in which they are mended."
        )
    embeddings.register_buffer("position_ids", rows_read)


def wrong_places(ids: torch.Tensor) -> list[int]:
    """The places that read another place's row, by position ids of any shape and number format."""
    rows_read = ids.flatten().long()
    return (rows_read != torch.arange(len(rows_read), device=ids.device)).nonzero().flatten().tolist()


def damage(ids: torch.Tensor | None) -> str:
    """What is wrong with position ids, in a sentence; "" for sound ones, and for none."""
    if ids is None or not (places := wrong_places(ids)):
        return ""
    rows_read = ids.flatten().long().tolist()
    listed = ", ".join(f"place {place} reads row {rows_read[place]}" for place in places[:MAX_PLACES])
    more = f" and {len(places) - MAX_PLACES} more" if len(places) > MAX_PLACES else ""
    return (
        f"The text encoder's position_ids are damaged, as some merges leave them: {listed}{more}, so words are taken "
        "for their neighbours. It is trained as it draws; a checkpoint in which they are mended learns better."
    )
