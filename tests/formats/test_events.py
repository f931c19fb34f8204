"""Event files: by the published numbers, and by TensorBoard itself where it is installed."""

import struct

import pytest

from lib_sdtune.formats.events import Events, crc32c, varint


def test_checksums_are_those_of_rfc_3720():
    assert crc32c(bytes(32)) == 0x8A9136AA and crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E and crc32c(b"123456789") == 0xE3069283


def test_numbers_are_written_seven_bits_at_a_time():
    assert [varint(number) for number in (0, 1, 127, 128, 300)] == [b"\0", b"\1", b"\x7f", b"\x80\1", b"\xac\2"]


def test_a_record_is_framed_by_its_length_and_checksums(tmp_path):
    events = Events(tmp_path)
    assert not list(tmp_path.iterdir())
    events.scalars(1, {"loss": 0.5, "grad_norm": 1e300, "lr": float("nan")})
    events.close()
    (path,) = tmp_path.iterdir()
    data, records = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        for checked, at in ((data[:8], 8), (data[12:12 + length], 12 + length)):
            crc = (struct.unpack("<I", data[at:at + 4])[0] - 0xA282EAD8) & 0xFFFFFFFF
            assert (crc >> 17 | crc << 15) & 0xFFFFFFFF == crc32c(checked)
        records.append(data[12:12 + length])
        data = data[16 + length:]
    assert records[0].endswith(b"\x1a\x0dbrain.Event:2") and b"loss\x15" + struct.pack("<f", 0.5) in records[1] and len(records) == 2


def test_tensorboard_reads_them_and_forgets_what_a_resumed_run_does_again(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first = Events(tmp_path)
    for step in range(1, 300):
        first.scalars(step, {"loss": 1 / step, "lr": 1e-4} | ({"val_loss": 0.25} if step % 100 == 0 else {}))
    first.close()
    second = Events(tmp_path, resume_from=150)
    for step in range(151, 201):
        second.scalars(step, {"loss": 2.0})
    second.close()
    seen = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0})
    seen.Reload()
    assert set(seen.Tags()["scalars"]) == {"loss", "lr", "val_loss"}
    assert [event.step for event in seen.Scalars("loss")] == list(range(1, 201))
    assert [event.value for event in seen.Scalars("loss")][148:152] == pytest.approx([1 / 149, 1 / 150, 2, 2])
    assert [event.step for event in seen.Scalars("val_loss")] == [100]
