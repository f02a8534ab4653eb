import numpy as np
import pytest
import tensorflow as tf

from tfrecords.layout import TOKEN_IDS, Layout, example_header


@pytest.mark.parametrize("size", [1, 100, 127, 128, 8192, 3 * 8192, 1 << 21])
def test_header_is_what_protobuf_writes(size):
    data = b"x" * size
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))
    features = tf.train.Features(feature={TOKEN_IDS: feature})
    example = tf.train.Example(features=features)
    assert example.SerializeToString() == example_header(size) + data


def test_wide_vocabularies_take_four_bytes():
    assert Layout.make(128, 0, 65536).dtype == np.dtype("<u2")
    assert Layout.make(128, 0, 65537).dtype == np.dtype("<u4")


@pytest.mark.parametrize("length", [8, 64, 128, 512])
def test_framing_takes_less_than_one_per_cent(length):
    layout = Layout.make(length, 0, 30522)
    rows = 10_000
    assert layout.shard_bytes(rows) < 1.01 * rows * layout.row_bytes
