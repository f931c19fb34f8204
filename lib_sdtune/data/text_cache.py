"""Text encodings that are computed once, kept on disk, and found again by the next run.

Entries are keyed by what they depend on: the caption and the encoder.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from lib_sdtune.data import tensor_store
from lib_sdtune.data.lru_cache import LRUCache, Tensors, finite, size_of
from lib_sdtune.data.problem import printable
from lib_sdtune.errors import RunError
from lib_sdtune.families.base import Conditioning
from lib_sdtune.progress import Progress

VERSION = 2  # raise it when captions are encoded differently
ON_DISK = 2 << 30  # bytes: shuffled captions are without end


class TextCache:
    """What a frozen text encoder says about captions.

    encode(list of captions) -> Conditioning; encoder_key: whatever distinguishes one encoder (and clip-skip) from
    another. folder: None keeps entries in memory only.
    """

    def __init__(self, folder: Path | None, encode: Callable[[list[str]], Conditioning], encoder_key: str) -> None:
        self.folder, self.encode, self.encoder_key = folder, encode, encoder_key
        self.recent = LRUCache()
        self.room = ON_DISK - (used(folder) if folder is not None else 0)

    def conditioning(self, captions: list[str]) -> Conditioning:
        """`Conditioning` of a batch, on the CPU. Shorter captions are filled up with the empty caption's chunks."""
        rows = [self.row(caption) for caption in captions]
        longest = max(row["context"].shape[0] for row in rows)
        context = torch.stack([self.filled(row["context"], longest) for row in rows])
        vector = torch.stack([row["vector"] for row in rows]) if "vector" in rows[0] else None
        return Conditioning(context, vector)

    def prepare(self, captions: Iterable[str], progress: Progress | None = None) -> None:
        progress = progress or (lambda done, total, text: None)
        captions = list(dict.fromkeys(captions))
        for done, caption in enumerate(captions, 1):
            self.row(caption)
            progress(done, len(captions), "encoding captions")

    def filled(self, context: torch.Tensor, length: int) -> torch.Tensor:
        if context.shape[0] == length:
            return context
        empty = self.row("")["context"]
        return torch.cat([context] + [empty] * ((length - context.shape[0]) // empty.shape[0]))

    def name(self, caption: str) -> str:
        return tensor_store.key(VERSION, "text", self.encoder_key, caption)

    def row(self, caption: str) -> Tensors:
        """{"context": (77n, D), "vector": (A,) if the family has one} of one caption."""
        name = self.name(caption)
        entry = self.recent.get(name)
        if entry is None and self.folder is not None:
            entry = tensor_store.get(tensor_store.path_of(self.folder, name))
        if entry is None:
            entry = self.encoded(caption)
            self.keep(name, entry)
        self.recent.add(name, entry)
        return entry

    def encoded(self, caption: str) -> Tensors:
        with torch.no_grad():
            conditioning = self.encode([caption])
        entry = {"context": conditioning.context[0].detach().cpu().clone()}
        if conditioning.vector is not None:
            entry["vector"] = conditioning.vector[0].detach().cpu().clone()
        if not finite(*entry.values()):
            raise RunError(self.reason_of_failure(caption))
        return entry

    def reason_of_failure(self, caption: str) -> str:
        """Sentences for a caption whose encoding is not numbers: a text encoder that fails at the empty one too is at
        fault itself.
        """
        with torch.no_grad():
            empty = self.encode([""])
        if caption and finite(empty.context):
            return (
                f"The text encoder gives values that are not numbers for the caption {printable(caption[:80])}, "
                "and sound ones for an empty one. Take out the word that does it: an embedding, perhaps, of that name."
            )
        return ("The text encoder overflows in half precision, whatever the caption. "
                'Set "train.mixed_precision" to "no"; if it is that already, choose another checkpoint.')

    def keep(self, name: str, entry: Tensors) -> None:
        if self.folder is None or self.room <= 0:
            return
        self.room -= size_of(entry)
        try:
            tensor_store.write(tensor_store.path_of(self.folder, name), entry)
        except OSError:
            self.room = 0  # a full disk costs time here, not the run


def used(folder: Path) -> int:
    """Bytes of the entries in a folder."""
    return sum(path.stat().st_size for path in folder.glob("*/*.safetensors")) if folder.exists() else 0
