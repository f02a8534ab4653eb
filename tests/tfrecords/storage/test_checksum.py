import numpy as np
import pytest
import tensorflow as tf

from tfrecords.storage import checksum


def bit_by_bit(data):
    """CRC-32C by its definition."""
    value = 0xFFFFFFFF
    for byte in bytes(data):
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def test_the_standards_value():
    data = np.frombuffer(b"123456789", np.uint8)[None]
    assert checksum.crc32c(data).tolist() == [0xE3069283]


@pytest.mark.parametrize("length", [0, 1, 16, 17, 20, 1023, 1025, 1027, 2050])
def test_any_length(length):
    rng = np.random.default_rng(length)
    data = rng.integers(0, 256, (3, length), np.uint8)
    before = data.copy()
    assert checksum.crc32c(data).tolist() == list(map(bit_by_bit, data))
    np.testing.assert_array_equal(data, before)


def test_parts_of_different_lengths():
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 256, 3000, np.uint8)
    starts = rng.integers(0, 1500, 60)
    lengths = rng.integers(0, 1500, 60)
    wanted = [
        bit_by_bit(whole[start : start + length])
        for start, length in zip(starts, lengths, strict=True)
    ]
    found = checksum.crc32c_at(whole, starts, lengths)
    assert found.tolist() == wanted
    none = np.zeros(0, np.int64)
    assert checksum.crc32c_at(whole, none, none).shape == (0,)


def test_frames_are_those_of_tensorflow(tmp_path):
    records = [b"", b"x", bytes(range(256)) * 40, b"\xff" * 1001]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    frames = b"".join(checksum.frame(r[:3], r[3:]) for r in records)
    assert frames == (tmp_path / "theirs").read_bytes()
