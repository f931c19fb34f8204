"""Captions made of the trigger words, with or without words for what else a picture shows."""

from collections.abc import Sequence

from lib_sdtune import randomness
from lib_sdtune.data.class_word import JOINING, WORD, with_article

LEADING_IN = "a photo of"


def stands_behind(word: str) -> bool:
    """Whether a word or words go behind the noun, as "on snow" does; "red" goes in front."""
    return word.split()[0].lower() in JOINING


def sentence(trigger: str, words: Sequence[str]) -> str:
    """A caption that says the trigger words and some of the picture's own.

    "zwx toy", ["red", "on snow"] -> "a photo of a red zwx toy on snow"; "a photo of zwx toy" keeps its own beginning.
    """
    first = next((match for match in WORD.finditer(trigger) if match[0].lower() not in JOINING), None)
    start = first.start() if first else 0
    before, subject = trigger[:start].rstrip(), trigger[start:]
    noun = " ".join([word for word in words if not stands_behind(word)] + [subject])
    behind = " ".join(word for word in words if stands_behind(word))
    if not before:
        before, noun = LEADING_IN, with_article(noun)
    elif before.split()[-1].lower() in ("a", "an"):
        before, noun = before.rsplit(None, 1)[0] if " " in before else "", with_article(noun)
    return " ".join(part for part in (before, noun, behind) if part)


def of_trigger_words(trigger: str) -> list[str]:
    """What people type to get the subject by itself: "zwx toy" and "a photo of a zwx toy"."""
    return list(dict.fromkeys((trigger, sentence(trigger, []))))


def is_alone(rate: float, seed: int, index: int, occurrence: int) -> bool:
    """Whether picture number `index` is shown under its trigger words alone at this showing; rate: 0..1, how often."""
    return rate > 0 and randomness.rng(seed, "trigger words", index, occurrence).random() < rate
