"""Event files as TensorBoard reads them: TFRecords of `tensorflow.Event` messages, written without any of its packages.

A record is its length (8 bytes), a checksum of these, the message, and a checksum of that. Checksums are CRC-32C
(Castagnoli, RFC 3720), rotated and shifted. Of the messages only a few fields are needed; their numbers are in
tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto.
"""

import math
import struct
import time
from pathlib import Path

VERSION = b"brain.Event:2"
START = 1  # SessionLog.START: what stands at this step and after it in earlier files is void
WALL_TIME, STEP, FILE_VERSION, SUMMARY, SESSION = 1, 2, 3, 5, 7  # fields of Event
VALUE, TAG, SIMPLE_VALUE, STATUS = 1, 1, 2, 1  # fields of Summary, Summary.Value and SessionLog
LARGEST = 3.4e38  # a 32-bit float
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types


class Events:
    """Appends curves to a file of its own in `folder`, which is made at the first writing; flushed each time."""

    def __init__(self, folder, resume_from=0):
        self.folder, self.resume_from, self.file = Path(folder), resume_from, None

    def scalars(self, step, values):
        """`values`: {tag: number} at this step."""
        if self.file is None:
            self.begin()
        summary = b"".join(message(VALUE, message(TAG, tag.encode()) + packed(SIMPLE_VALUE, value))
                           for tag, value in values.items())
        self.write(message(SUMMARY, summary), step)
        self.file.flush()

    def begin(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        stem = f"events.out.tfevents.{int(time.time()):010d}"  # the reader goes by these names' order
        number = len([*self.folder.glob(f"{stem}.*")])
        self.file = open(self.folder / f"{stem}.{number:03d}.sdtune", "ab")  # noqa: SIM115 - closed by close()
        self.write(message(FILE_VERSION, VERSION))
        if self.resume_from:
            self.write(message(SESSION, integer(STATUS, START)), self.resume_from + 1)

    def write(self, what, step=0):
        event = key(WALL_TIME, FIXED64) + struct.pack("<d", time.time()) + integer(STEP, step) + what
        length = struct.pack("<Q", len(event))
        self.file.write(length + masked(length) + event + masked(event))

    def close(self):
        if self.file:
            self.file.close()


# protocol buffers

def key(field, kind):
    return varint(field << 3 | kind)


def varint(number):
    """Seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def integer(field, number):
    return key(field, VARINT) + varint(number)


def message(field, content):
    return key(field, BYTES) + varint(len(content)) + content


def packed(field, value):
    if abs(value) > LARGEST:
        value = math.copysign(math.inf, value)
    return key(field, FIXED32) + struct.pack("<f", value)


# checksums

def table():
    """CRC-32C of every byte, with the polynomial's bits reversed."""
    rows = []
    for row in range(256):
        for _ in range(8):
            row = row >> 1 ^ (0x82F63B78 if row & 1 else 0)
        rows.append(row)
    return rows


TABLE = table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
