"""Event files as TensorBoard reads them: TFRecords of `tensorflow.Event` messages, written without any of its packages.

A record is its length (8 bytes), a checksum of these, the message, and a checksum of that. Checksums are CRC-32C
(Castagnoli, RFC 3720), rotated and shifted. Of the messages only a few fields are needed; their numbers are in
tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto.
"""

import math
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

VERSION = b"brain.Event:2"
START = 1  # SessionLog.START: what stands at this step and after it in earlier files is void
WALL_TIME, STEP, FILE_VERSION, SUMMARY, SESSION = 1, 2, 3, 5, 7  # fields of Event
VALUE, TAG, SIMPLE_VALUE, STATUS = 1, 1, 2, 1  # fields of Summary, Summary.Value and SessionLog
MAX_FLOAT = 3.4e38  # a 32-bit float
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types


class Events:
    """Appends curves to a file of its own in `folder`, which is made at the first writing; flushed each time."""

    def __init__(self, folder: str | Path, resume_from: int = 0) -> None:
        self.folder, self.resume_from = Path(folder), resume_from
        self.file: BinaryIO | None = None

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """`values`: {tag: number} at this step."""
        file = self.file or self.begin()
        summary = b"".join(message(VALUE, message(TAG, tag.encode()) + packed(SIMPLE_VALUE, value))
                           for tag, value in values.items())
        file.write(record(message(SUMMARY, summary), step))
        file.flush()

    def begin(self) -> BinaryIO:
        """Open the file and write what comes before the first curve."""
        self.folder.mkdir(parents=True, exist_ok=True)
        stem = f"events.out.tfevents.{int(time.time()):010d}"  # the reader goes by these names' order
        number = len([*self.folder.glob(f"{stem}.*")])
        self.file = file = open(self.folder / f"{stem}.{number:03d}.sdtune", "ab")  # noqa: SIM115 - closed by close()
        file.write(record(message(FILE_VERSION, VERSION)))
        if self.resume_from:
            file.write(record(message(SESSION, integer(STATUS, START)), self.resume_from + 1))
        return file

    def close(self) -> None:
        if self.file:
            self.file.close()


def record(what: bytes, step: int = 0) -> bytes:
    """An event of this moment, with its length and checksums."""
    event = key(WALL_TIME, FIXED64) + struct.pack("<d", time.time()) + integer(STEP, step) + what
    length = struct.pack("<Q", len(event))
    return length + masked(length) + event + masked(event)


# protocol buffers

def key(field: int, kind: int) -> bytes:
    return varint(field << 3 | kind)


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def integer(field: int, number: int) -> bytes:
    return key(field, VARINT) + varint(number)


def message(field: int, content: bytes) -> bytes:
    return key(field, BYTES) + varint(len(content)) + content


def packed(field: int, value: float) -> bytes:
    if abs(value) > MAX_FLOAT:
        value = math.copysign(math.inf, value)
    return key(field, FIXED32) + struct.pack("<f", value)


# checksums

def table() -> list[int]:
    """CRC-32C of every byte, with the polynomial's bits reversed."""
    rows = []
    for row in range(256):
        for _ in range(8):
            row = row >> 1 ^ (0x82F63B78 if row & 1 else 0)
        rows.append(row)
    return rows


TABLE = table()


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
