"""Captions of the toy world as token ids, and what each of them says."""

import random

import torch

from lib_sdtune import toyworld
from lib_sdtune.ldm import tokenizer

POSITIONS = 77
FACTORS = {"form": list(toyworld.SHAPES), "colour": list(toyworld.COLOURS), "background": list(toyworld.BACKGROUNDS)}
UNSAID, ANY = 8, 9  # classes beside a factor's eight: not mentioned; the class word


class Captions:
    """Encodes captions as the families do: start, at most 75 tokens, end, padding."""

    def __init__(self, folder):
        self.tokenizer = tokenizer.read(folder)

    def ids(self, texts):
        """(B, 77) token ids."""
        t = self.tokenizer
        rows = [[t.start, *t(text)[:POSITIONS - 2], t.end] for text in texts]
        return torch.tensor([row + [t.pad] * (POSITIONS - len(row)) for row in rows])


def said(text):
    """(form, colour, background): which of the eight, `UNSAID`, or `ANY` for the class word."""
    words = set(text.replace(",", " ").split())
    answer = [next((i for i, name in enumerate(names) if name in words), UNSAID) for names in FACTORS.values()]
    return [ANY if toyworld.CLASS in words else answer[0], *answer[1:]]


def some(rng, n, plain=False):
    """n random captions of random scenes."""
    return [toyworld.caption(rng, toyworld.random_scene(rng), plain) for _ in range(n)]


def seeded(*numbers):
    return random.Random(repr(numbers))
