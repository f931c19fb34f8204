"""CLIP's tokenizer: byte-level pair encoding of lower-cased words, each ending in </w> (Sennrich et al. 2016, arXiv
1508.07909).

`vocab.json` maps tokens to ids and `merges.txt` lists the pairs in the order in which they join, as everywhere else.
"""

import gzip
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from lib_sdtune.errors import UserError

try:
    from ftfy import fix_text
except ImportError:  # no requirement of the WebUI's, which cleans and parts texts by its own tokenizer
    fix_text = None  # type: ignore[assignment]

START, END = "<|startoftext|>", "<|endoftext|>"
CLIP_TOKENS, CLIP_MERGES = 49408, Path(__file__).parent / "clip" / "merges.txt.gz"
CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")


class Tokenizer:
    """`tokenizer(text)` gives ids without start, end and padding; `.start`, `.end` and `.pad` are the ids of those."""

    def __init__(self, vocab: Mapping[str, int], merges: Iterable[Sequence[str]]) -> None:
        """vocab: token -> id. merges: pairs of tokens, the ones that join first in front."""
        self.vocab = vocab
        self.ranks = {tuple(pair): rank for rank, pair in enumerate(merges)}
        self.start, self.end = vocab[START], vocab[END]
        self.pad = self.end
        self._letters = byte_letters()
        self._ids: dict[str, list[int]] = {}  # of the words so far

    def __call__(self, text: str) -> list[int]:
        return [token for word in words(text) for token in self.word(word)]

    def __len__(self) -> int:
        return max(self.vocab.values()) + 1

    def word(self, word: str) -> list[int]:
        """Ids of one word; a token that the vocabulary lacks counts as the end token, as in CLIP."""
        if word not in self._ids:
            if word in (START, END):
                return [self.vocab[word]]
            letters = [self._letters[byte] for byte in word.encode()]
            letters[-1] += "</w>"
            self._ids[word] = [self.vocab.get(part, self.end) for part in self.join(letters)]
        return self._ids[word]

    def join(self, parts: list[str]) -> list[str]:
        """Join neighbours, always the pair of lowest rank first, until no pair is known."""
        while len(parts) > 1:
            best = min(zip(parts, parts[1:], strict=False), key=lambda pair: self.ranks.get(pair, float("inf")))
            if best not in self.ranks:
                break
            joined, i = [], 0
            while i < len(parts):
                if tuple(parts[i:i + 2]) == best:
                    joined.append(parts[i] + parts[i + 1])
                    i += 2
                else:
                    joined.append(parts[i])
                    i += 1
            parts = joined
        return parts


def words(text: str) -> Iterator[str]:
    """Runs of letters, single digits, runs of other signs, and English contractions, lower-cased.

    The text is cleaned first, as CLIP's tokenizers do: full-width signs, curly quotes, ligatures, entities, controls.
    """
    text = (fix_text(text) if fix_text is not None else unicodedata.normalize("NFC", text)).lower()
    i = 0
    while i < len(text):
        word = next((w for w in (START, END, *CONTRACTIONS) if text.startswith(w, i)), None)
        if word is None:
            category, end = kind(text[i]), i + 1
            while end < len(text) and category != "number" and kind(text[end]) == category:
                end += 1
            word = text[i:end]
        if not word[0].isspace():
            yield word
        i += len(word)


def kind(character: str) -> str:
    if character.isspace():
        return "space"
    return {"L": "letter", "N": "number"}.get(unicodedata.category(character)[0], "sign")


def byte_letters() -> dict[int, str]:
    """A printable letter for each byte: itself where it is one, else the next free one from 256 on."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    unprintable = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) if byte in printable else chr(256 + unprintable.index(byte)) for byte in range(256)}


def read(folder: str | Path) -> Tokenizer:
    """The tokenizer in a folder that has vocab.json and merges.txt."""
    folder = Path(folder)
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
    return Tokenizer(vocab, [line.split() for line in lines if line.strip() and not line.startswith("#version")])


def find(checkpoint: str | Path, size: int) -> Tokenizer:
    """The tokenizer of a checkpoint whose text encoder knows `size` tokens.

    Looked for beside the checkpoint, in a folder of its name, in the folder that its .yaml names, in Hugging Face's
    cache, and in the embedded model's folder; CLIP's own comes with us. UserError if none of them fits.
    """
    for folder in folders(Path(checkpoint)):
        if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
            tokenizer = read(folder)
            if len(tokenizer) == size:
                return tokenizer
    if size == CLIP_TOKENS:
        return clip()
    raise UserError(f"No vocabulary of {size} tokens was found for {Path(checkpoint).name}: put the vocab.json and "
                    f"merges.txt that came with it into {Path(checkpoint).parent}.")


def folders(checkpoint: Path) -> Iterator[Path]:
    yield from (checkpoint.parent, checkpoint.with_suffix(""))
    config = checkpoint.with_suffix(".yaml")
    if config.is_file():
        text = config.read_text(encoding="utf-8", errors="replace")
        for named in re.findall(r"^\s*['\"]?version['\"]?:\s*['\"]?(.+?)['\"]?\s*$", text, re.M):
            yield from (Path(named), checkpoint.parent / named)
    cache = Path(os.environ.get("HF_HOME") or os.path.expanduser("~/.cache/huggingface"))  # there may be no home
    yield from sorted(cache.glob("hub/models--openai--clip-vit-large-patch14/snapshots/*"))
    yield Path(__file__).parent / "embedded"


@lru_cache(maxsize=1)
def clip() -> Tokenizer:
    """OpenAI's, which Stable Diffusion 1, 2 and XL share: `clip/SOURCE.md` says where its merges are from.

    Its tokens follow from the merges: the bytes, the bytes that end a word, the merges, start and end.
    """
    lines = gzip.decompress(CLIP_MERGES.read_bytes()).decode().splitlines()
    merges = [line.split() for line in lines[1:]]
    letters = sorted(byte_letters().items(), key=lambda pair: (ord(pair[1]) >= 256, pair[0]))
    tokens = [letter for _, letter in letters]
    tokens += [letter + "</w>" for letter in tokens] + ["".join(pair) for pair in merges] + [START, END]
    return Tokenizer({token: i for i, token in enumerate(tokens)}, merges)
