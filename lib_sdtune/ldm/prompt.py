"""From pieces of text to what the UNet listens to, through one text tower or several."""

from collections.abc import Iterable, Mapping, Sequence

import torch

from lib_sdtune.devices import upload
from lib_sdtune.ldm.chunks import Chunk, even, split
from lib_sdtune.ldm.tokenizer import Tokenizer
from lib_sdtune.ldm.towers import Tower


def encode(towers: Iterable[Tower], tokenizer: Tokenizer, prompts: Iterable[Sequence[tuple[str, float]]],
           embeddings: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(context (B, 77n, sum of the towers' widths), pooled (B, P) or None) for B prompts, each a list of (text,
    weight).

    embeddings: name -> (n, sum of the widths); the name's tokens give way to these rows, and gradients flow back to
    them.
    """
    batch = even([split(tokenizer, pieces, embeddings) for pieces in prompts], tokenizer)
    chunks = [chunk for row in batch for chunk in row]
    contexts, pooled, start = [], None, 0
    for tower in towers:
        states, end_state = encode_chunks(tower, chunks, tokenizer.end, slice(start, start + tower.width))
        contexts.append(states.reshape(len(batch), -1, states.shape[-1]))
        start += tower.width
        if end_state is not None:
            pooled = end_state[::len(batch[0])]  # a prompt's first chunk speaks for all of it
    return torch.cat(contexts, dim=-1), pooled


def encode_chunks(tower: Tower, chunks: Sequence[Chunk], end: int,
                  columns: slice) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(states (number of chunks, 77, width), pooled (number of chunks, P) or None); columns: the tower's share of the
    embeddings.
    """
    table = tower.token_embedding
    ids = upload(torch.tensor([padded(chunk.ids, end, tower.pad) for chunk in chunks]), table.weight.device)
    states, pooled = tower.encode(ids, with_rows(table(ids), chunks, columns), end)
    return emphasise(states, torch.tensor([chunk.weights for chunk in chunks])), pooled


def padded(ids: list[int], end: int, pad: int | None) -> list[int]:
    """Ids whose tail after the first end token is `pad`, or as it is if that is None."""
    if pad is None:
        return ids
    length = ids.index(end) + 1
    return [*ids[:length], *[pad] * (len(ids) - length)]


def with_rows(embed: torch.Tensor, chunks: Sequence[Chunk], columns: slice = slice(None)) -> torch.Tensor:
    """Token embeddings (N, 77, width) in which these columns of the chunks' own rows have taken their places."""
    places = [
        (n, position + i) for n, chunk in enumerate(chunks) for position, table in chunk.rows for i in range(len(table))
    ]
    if not places:
        return embed
    tables = [table[:, columns].to(embed) for chunk in chunks for _, table in chunk.rows]
    at = tuple(upload(torch.tensor(index), embed.device) for index in zip(*places, strict=True))
    return embed.index_put(at, torch.cat(tables))


def emphasise(states: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """States times the weights (N, 77, on the CPU) of their tokens, with the mean of each chunk kept: the WebUI's
    "Original" emphasis.
    """
    weighted = (weights != 1).any(dim=1)
    if not weighted.any():  # asked of the CPU, so that nobody waits for the device
        return states
    weights, weighted = upload(weights, states.device), upload(weighted, states.device)
    scaled = states * weights[..., None].to(states)
    scaled = scaled * (states.mean(dim=(1, 2), keepdim=True) / scaled.mean(dim=(1, 2), keepdim=True))
    return torch.where(weighted[:, None, None], scaled, states)
