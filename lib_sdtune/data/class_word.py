"""The class that a subject belongs to, read off the words that a user gave: "zwx cat" is a cat.

Prior preservation (Ruiz et al. 2022, arXiv 2208.12242) needs the class in words. People who train a subject write an
identifier and then what it is, as that paper does; so the class is the word behind the identifier.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

# words that say how something is shown, or join others: never what it is
NEVER_A_CLASS = (
    "a an the of on in at by with and or to from for as is are was my his her its this that these those one some "
    "photo picture image drawing painting rendering rendition illustration portrait close-up closeup "
    "cropped good bad bright dark clean dirty cool nice small large weird depiction")
JOINING = frozenset(NEVER_A_CLASS.split())
STYLE = frozenset(("style", "styled", "artstyle", "art"))  # a style is of no class
WORD = re.compile(r"[^\W\d_][\w'-]*")
MIN_SHARE = 0.5  # the share of captions in which the same class must follow the identifier


def class_prompt(words: str, captions: Sequence[str] = ()) -> str:
    """The prompt that asks for the class alone, such as "a photo of a cat"; "" where no class can be read.

    words: the trigger words, or a caption that pictures without one get. captions: those of the subject's pictures.
    """
    noun = class_word(words, captions)
    return f"a photo of {with_article(noun)}" if noun else ""


def with_article(words: str) -> str:
    return f"{'an' if words[:1].lower() in 'aeiou' else 'a'} {words}"


def class_word(words: str, captions: Sequence[str] = ()) -> str:
    """The noun behind the identifier, or ""."""
    if STYLE.intersection(words.lower().split()):
        return ""
    first, *others = phrase(words.split(",")[0]) or [""]
    return others[-1] if others else follower(first or identifier(captions), captions)


def phrase(text: str) -> list[str]:
    """The first words of a text that stand together and could name something: ["ron", "cat"] of "a ron cat on snow"."""
    words = WORD.findall(text)
    start = next((place for place, word in enumerate(words) if word.lower() not in JOINING), len(words))
    return list(takewhile(lambda word: word.lower() not in JOINING, words[start:]))


def content(text: str) -> list[str]:
    """The words of a text that could name something."""
    return [word for word in WORD.findall(text) if word.lower() not in JOINING]


def follower(identifier: str, captions: Sequence[str]) -> str:
    """The word that stands directly behind the identifier in most of the captions that say it."""
    if not identifier:
        return ""
    pattern = re.compile(rf"(?<!\w){re.escape(identifier)}[ ]+({WORD.pattern})", re.IGNORECASE)
    saying = [caption for caption in captions if identifier.lower() in caption.lower()]
    nouns = Counter(match[1].lower() for caption in saying if (match := pattern.search(caption)))
    noun, count = nouns.most_common(1)[0] if nouns else ("", 0)
    return noun if count > MIN_SHARE * len(saying) and noun not in JOINING | STYLE else ""


def identifier(captions: Sequence[str]) -> str:
    """The first of the words that all captions have; "" where there are fewer than two captions or no such word."""
    if len(captions) < 2:
        return ""
    common = set.intersection(*({word.lower() for word in content(caption)} for caption in captions))
    return next((word for word in content(captions[0]) if word.lower() in common), "")
