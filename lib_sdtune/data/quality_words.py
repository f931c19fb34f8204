"""Words for a picture's quality that a person puts in front of its tags, as models for drawings learned them.

Whoever reads a caption reads the front most; what describes a picture anew goes behind them.
"""

from itertools import takewhile

from lib_sdtune.data.captions import tags as split

WORDS = frozenset(
    ("masterpiece", "best quality", "high quality", "highest quality", "great quality", "good quality",
     "amazing quality", "normal quality", "medium quality", "average quality", "low quality", "worst quality",
     "bad quality", "very aesthetic", "aesthetic", "displeasing", "very displeasing", "absurdres",
     "incredibly absurdres", "highres", "lowres", "perfect quality", "ultra-detailed"))


def is_quality(tag: str) -> bool:
    """Whether a tag says how good a picture is: those of `WORDS`, and score_9, score_8_up and the like."""
    plain = tag.strip().casefold().replace("_", " ")
    return plain in WORDS or plain.removeprefix("score ").split(" ")[0].isdecimal() and plain.startswith("score ")


def leading(caption: str) -> list[str]:
    """The quality words at the front of a caption."""
    return list(takewhile(is_quality, split(caption)))
