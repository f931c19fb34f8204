"""Writes the embedded model's tokenizer, in CLIP's format: python tools/make_vocabulary.py [FOLDER].

Byte-pair merges are learned from the toy world's words until each is one token; any other word falls back to pieces.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib_sdtune import toyworld

FOLDER = Path(__file__).resolve().parent.parent / "lib_sdtune" / "ldm" / "embedded"
START, END = "<|startoftext|>", "<|endoftext|>"


def words():
    """Every word that a caption of the toy world can hold, in a fixed order."""
    texts = [*toyworld.FULL, *toyworld.PARTIAL, toyworld.CLASS, *toyworld.RARE, *toyworld.COLOURS,
             *toyworld.BACKGROUNDS, *toyworld.SHAPES]
    return sorted({word for text in texts for word in re.findall(r"[a-z]+", re.sub(r"\{.}", " ", text))})


def byte_letters():
    """CLIP's printable stand-in for each byte, in its vocabulary's order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    remainder = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(remainder))]


def learn_merges(present):
    """Pairs in the order in which they are merged, most frequent first, until every word is whole."""
    split = {word: (*word[:-1], word[-1] + "</w>") for word in present}
    merges = []
    while True:
        pairs = Counter(pair for pieces in split.values() for pair in zip(pieces, pieces[1:], strict=False))
        if not pairs:
            return merges
        merges.append(min(pairs, key=lambda pair: (-pairs[pair], pair)))
        split = {word: merged(pieces, merges[-1]) for word, pieces in split.items()}


def merged(pieces, pair):
    out = []
    for piece in pieces:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return tuple(out)


def main(folder):
    letters = byte_letters()
    merges = learn_merges(words())
    tokens = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges), START, END]
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    text = {"model_type": "clip_text_model", "architectures": ["CLIPTextModel"], "vocab_size": len(tokens),
            "hidden_size": 64,
            "intermediate_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "projection_dim": 64,
            "max_position_embeddings": 77,
            "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "bos_token_id": len(tokens) - 2,
            "eos_token_id": len(tokens) - 1,
            "pad_token_id": len(tokens) - 1}
    files = {"vocab.json": {token: i for i, token in enumerate(tokens)}, "config.json": text,
             "special_tokens_map.json": special,
             "tokenizer_config.json": special
             | {"model_max_length": 77, "do_lower_case": True, "tokenizer_class": "CLIPTokenizer"}}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = json.dumps(content, ensure_ascii=False, indent=None if name == "vocab.json" else 1)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), encoding="utf-8")
    print(f"{len(tokens)} tokens, {len(merges)} merges, {len(words())} words")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
