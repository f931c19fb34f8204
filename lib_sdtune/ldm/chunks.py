"""Prompts and captions as rows of 77 tokens: start, up to 75 tokens, end, and again the end token; towers may pad
otherwise.

Cut as the WebUI cuts: a list of tags is parted at a comma near the end of a row, and an embedding is never parted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from lib_sdtune.ldm.tokenizer import Tokenizer

LENGTH = 75
PLACEHOLDER = 0  # the id where an embedding's rows go; the end token would tell a tower that the text ends there
BACKTRACK = 20  # how far back from the end of a row a comma is looked for


@dataclass
class Chunk:
    """`rows` holds (position in the 77, table (n, D)) of the embeddings, `weights` one number per position."""

    ids: list = field(default_factory=list)
    weights: list = field(default_factory=list)
    rows: list = field(default_factory=list)

    def closed(self, tokenizer: Tokenizer) -> "Chunk":
        """The whole row of 77."""
        empty = LENGTH - len(self.ids)
        ids = [tokenizer.start, *self.ids, tokenizer.end, *[tokenizer.end] * empty]
        return Chunk(ids, [1.0, *self.weights, 1.0, *[1.0] * empty],
                     [(position + 1, table) for position, table in self.rows])


class Embeddings:
    """Finds the names of embeddings in token ids; where several fit, the longest name wins."""

    def __init__(self, tokenizer: Tokenizer, tables: Mapping[str, torch.Tensor]) -> None:
        self.tokenizer, self.tables = tokenizer, tables
        names = [(tokenizer(name), table) for name, table in tables.items()]
        self.names = sorted((pair for pair in names if pair[0]), key=lambda pair: -len(pair[0]))

    def at(self, ids: Sequence[int], position: int) -> tuple[torch.Tensor | None, int]:
        """(table, length of its name in tokens) or (None, 1)."""
        for name, table in self.names:
            if ids[position:position + len(name)] == name:
                return table, len(name)
        return None, 1


def split(tokenizer: Tokenizer, pieces: Iterable[tuple[str, float]],
          embeddings: Mapping[str, torch.Tensor]) -> list[Chunk]:
    """Closed chunks, at least one, of [(text, weight)]; the pair ("BREAK", -1) begins a new chunk."""
    names, comma = Embeddings(tokenizer, embeddings), tokenizer(",")
    chunks, chunk, last_comma = [], Chunk(), -1

    def next_chunk() -> None:
        nonlocal chunk, last_comma
        chunks.append(chunk.closed(tokenizer))
        chunk, last_comma = Chunk(), -1

    for text, weight in pieces:
        if (text, weight) == ("BREAK", -1):
            next_chunk()
            continue
        ids, position = tokenizer(text), 0
        while position < len(ids):
            table, length = names.at(ids, position)
            new = ids[position:position + 1] if table is None else [PLACEHOLDER] * len(table)
            if new == comma:
                last_comma = len(chunk.ids)
            elif len(chunk.ids) == LENGTH and last_comma >= LENGTH - BACKTRACK:
                remainder = cut(chunk, last_comma + 1)
                next_chunk()
                chunk = remainder
            if len(chunk.ids) + len(new) > LENGTH:
                next_chunk()
            if table is not None:
                chunk.rows.append((len(chunk.ids), table))
            chunk.ids += new
            chunk.weights += [weight] * len(new)
            position += length
    if chunk.ids or not chunks:
        next_chunk()
    return chunks


def named(tokenizer: Tokenizer, pieces: Iterable[tuple[str, float]],
          embeddings: Mapping[str, torch.Tensor]) -> list[str]:
    """The names of the embeddings that `split` finds, once each, in the order of the text."""
    names = {id(table): name for name, table in embeddings.items()}
    return list(dict.fromkeys(names[id(table)] for chunk in split(tokenizer, pieces, embeddings)
                              for _, table in chunk.rows))


def cut(chunk: Chunk, at: int) -> Chunk:
    """Take what lies from position `at` on out of a chunk, and return it as a chunk."""
    remainder = Chunk(chunk.ids[at:], chunk.weights[at:],
                      [(position - at, table) for position, table in chunk.rows if position >= at])
    chunk.rows = [row for row in chunk.rows if row[0] < at]
    del chunk.ids[at:], chunk.weights[at:]
    return remainder


def even(batch: Sequence[list[Chunk]], tokenizer: Tokenizer) -> list[list[Chunk]]:
    """Lists of chunks, all made as long as the longest with empty ones."""
    longest = max(map(len, batch))
    return [chunks + [Chunk().closed(tokenizer)] * (longest - len(chunks)) for chunks in batch]
