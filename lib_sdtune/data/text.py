"""Text files of unknown encoding."""

import codecs
import re
import unicodedata
from pathlib import Path

COMMAS = ",\uff0c"  # the usual one, and the full-width one of East Asian keyboards
UNSEEN = ("Z", "M", "Cc", "Cf")  # Unicode's categories of blanks, of marks without a letter, and of control signs
MAX_BYTES = 1 << 16  # bytes of a caption file that are read
BOMS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8"}
KANA = re.compile(r"[\u3040-\u30ff]")
# ideographs and the signs between them, those that other scripts have too among them: dashes, curly quotes, dots
HAN = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef\u2013-\u2015\u2018-\u201d\u2026\u00b7]")
HANGUL = re.compile(r"[\uac00-\ud7a3\u3131-\u318e\u3000-\u303f\uff00-\uffef\u2018-\u201d\u2026\u00b7]")
RUSSIAN = re.compile("[\u0410-\u042f\u0401]?[\u0430-\u044f\u0451]+")  # a word: small letters behind a first of any size
CYRILLIC = re.compile("[\u0400-\u04ff]")


def read(path: Path | str, limit: int = MAX_BYTES) -> tuple[str, str]:
    """(text, encoding) of the first `limit` bytes: "utf-8", "utf-16" or the best guess, which `is_guess` tells.

    OSError if the file can't be read.
    """
    with open(path, "rb") as file:
        data = file.read(limit)
    is_whole = len(data) < limit  # else the limit may have cut a letter in two
    for bom, encoding in BOMS.items():
        if data.startswith(bom):
            content = decoded(data, encoding, is_whole)
            if content is None:
                return clean(data.decode(encoding, "replace")), f"damaged {encoding}"
            return clean(content), encoding
    encoding = "utf-8" if decoded(data, "utf-8", is_whole) is not None else guess(data, is_whole)
    return clean(decoded(data, encoding, is_whole) or data.decode(encoding, "replace")), encoding


def is_guess(encoding: str) -> bool:
    """Whether a text that was read in an encoding may be another one."""
    return encoding not in ("utf-8", "utf-16")


def is_cut(path: Path | str) -> bool:
    """Whether a caption file holds more than is read. OSError if it can't be looked at."""
    return Path(path).stat().st_size > MAX_BYTES


def guess(data: bytes, is_whole: bool = True) -> str:
    """Single accented letters in Latin text, Japanese by kana, Russian by its words, Korean by its syllables, Chinese
    by its characters; Latin-1 fits everything.
    """
    western = "cp1252" if decoded(data, "cp1252", is_whole) else "latin-1"
    if not re.search(rb"[\x80-\xff]{2}", data):
        return western
    japanese, chinese, korean, russian = (decoded(data, encoding, is_whole)
                                          for encoding in ("cp932", "gb18030", "cp949", "cp1251"))
    if japanese and KANA.search(japanese):
        return "cp932"
    if russian and has_russian_words(russian):
        return "cp1251"
    if korean and consists_of(HANGUL, korean):  # Chinese that short of these syllables alone is rare
        return "cp949"
    if chinese and consists_of(HAN, chinese) and mostly_frequent(chinese):
        return "gb18030"
    return "cp932" if japanese and consists_of(HAN, japanese) else western


def consists_of(letters: re.Pattern, content: str) -> bool:
    """Whether all that is not ASCII are these letters, and some of it more than signs."""
    foreign = [letter for letter in content if ord(letter) > 127]
    return all(map(letters.match, foreign)) and any(map(str.isalpha, foreign))


def mostly_frequent(chinese: str) -> bool:
    """Whether most of its characters are of GB 2312's frequent ones, which two accented letters together seldom are."""
    ideographs = [letter.encode("gb18030") for letter in chinese if "\u4e00" <= letter <= "\u9fff"]
    return 2 * sum(0xB0 <= code[0] <= 0xD7 and code[1] >= 0xA1 for code in ideographs) > len(ideographs)


def has_russian_words(content: str) -> bool:
    """Whether words with Cyrillic letters have no others, large ones only in front, and one is of three at least."""
    words = [word for word in re.findall(r"[^\W\d_]+", content) if any(ord(letter) > 127 for letter in word)]
    return (all(map(RUSSIAN.fullmatch, words)) and any(len(word) >= 3 for word in words)
            and all(CYRILLIC.match(letter) for word in words for letter in word))


def decoded(data: bytes, encoding: str, is_whole: bool = True) -> str | None:
    """The text, None where the bytes are none in that encoding; of cut bytes the last letter may be missing."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data, is_whole)
    except UnicodeDecodeError:
        return None


def clean(text: str) -> str:
    return text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")


def is_blank(line: str) -> bool:
    """Whether a caption has no words: nothing but blanks, commas and signs that nobody sees."""
    return all(sign in COMMAS or unicodedata.category(sign).startswith(UNSEEN) for sign in line)
