"""Text files of unknown encoding."""

import re
import unicodedata
from pathlib import Path

COMMAS = ",\uff0c"  # the usual one, and the full-width one of East Asian keyboards
UNSEEN = ("Z", "M", "Cc", "Cf")  # Unicode's categories of blanks, of marks without a letter, and of control signs
MAX_BYTES = 1 << 16  # bytes of a caption file that are read
KANA = re.compile(r"[\u3040-\u30ff]")
HAN = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")


def read(path: Path | str, limit: int = MAX_BYTES) -> tuple[str, str]:
    """(text, encoding): the encoding is "utf-8" or the best guess. OSError if the file can't be read."""
    with open(path, "rb") as file:
        data = file.read(limit)
    for bom, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if data.startswith(bom):
            return clean(data.decode(encoding, "replace")), "utf-16" if encoding == "utf-16" else "utf-8"
    try:
        return clean(data.decode("utf-8")), "utf-8"
    except UnicodeDecodeError as error:
        if error.start >= len(data) - 4 and len(data) == limit:  # the limit cut a letter in two
            return clean(data[: error.start].decode("utf-8")), "utf-8"
    encoding = guess(data)
    return clean(data.decode(encoding, "replace")), encoding


def guess(data: bytes) -> str:
    """Single accented letters in Latin text, Japanese by kana, Chinese by its characters; Latin-1 fits everything."""
    western = "cp1252" if decodes(data, "cp1252") else "latin-1"
    if not re.search(rb"[\x80-\xff]{2}", data):
        return western
    japanese, chinese = decodes(data, "cp932"), decodes(data, "gb18030")
    if japanese and KANA.search(japanese):
        return "cp932"
    if chinese and all(HAN.match(letter) for letter in chinese if ord(letter) > 127):
        return "gb18030"
    return "cp932" if japanese and HAN.search(japanese) else western


def decodes(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def clean(text: str) -> str:
    return text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")


def is_blank(line: str) -> bool:
    """Whether a caption has no words: nothing but blanks, commas and signs that nobody sees."""
    return all(sign in COMMAS or unicodedata.category(sign).startswith(UNSEEN) for sign in line)
