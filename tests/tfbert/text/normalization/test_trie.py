import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text as tf_text

from tfbert.text.normalization import stand_ins
from tfbert.text.normalization.characters import character_map
from tfbert.text.normalization.trie import build_model, normalizer_model


def normalize(model: bytes, texts: list) -> list[bytes]:
    kernel = tf_text.FastBertNormalizer(
        model_buffer=tf.constant(np.frombuffer(model, np.uint8))
    )
    return list(kernel.normalize(tf.constant(texts)).numpy())


@pytest.mark.parametrize("lowercase", [True, False])
def test_every_code_point(lowercase):
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    texts = [f"x{chr(code)}y" for code in codes]
    table, inner = character_map(lowercase), stand_ins.kernel_map()
    expected = [
        text.translate(table).translate(inner).encode() for text in texts
    ]
    assert normalize(normalizer_model(lowercase), texts) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"a\xc3",
        b"\xc3a",
        b"a\xe2\x82b",
        b"\xff\xfea",
        b"\xed\xa0\x80x",
        b"\xf0\x9f\x98 a",
        b"\xf4\x90\x80\x80 b",
        b"\xc0\xaf\xe0\x80\xafz",
        b"\x80\xbf",
        b"\0a\0",
        b"",
    ],
)
def test_ill_formed_bytes_are_dropped(data):
    expected = data.decode("utf-8", "ignore").replace("\0", "").encode()
    assert normalize(normalizer_model(False), [data]) == [expected]


def test_random_bytes():
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 256, 50, np.uint8).tobytes() for _ in range(2000)]
    expected = [
        text.decode("utf-8", "replace")
        .translate(character_map(False))
        .translate(stand_ins.kernel_map())
        .encode()
        for text in texts
    ]
    assert normalize(normalizer_model(False), texts) == expected


def test_own_table():
    model = build_model({ord("a"): "bcd", ord("é"): "", 0x1F600: "é"})
    assert normalize(model, ["aéx😀"]) == ["bcdxé".encode()]
