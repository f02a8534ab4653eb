import numpy as np
import tensorflow as tf

from tfbert.text.spans import Characters, TextBytes, gather_in_rows


def character_starts(data: bytes) -> list[int]:
    """Where characters of `data` begin, by Python's decoder."""
    starts, place = [], 0
    while place < len(data):
        starts.append(place)
        # The shortest beginning that is one character more.
        end = place + 1
        while end < len(data) and (
            len((data[place : end + 1]).decode("utf-8", "replace")) == 1
        ):
            end += 1
        place = end
    return starts


def test_pieces_between_characters_are_utf_8():
    texts = [b"a\xffb\xe6\x9d!", "é東😀\ufeff\0x".encode(), b""]
    rows, starts, ends, wanted = [], [], [], []
    for row, data in enumerate(texts):
        text = data.decode("utf-8", "replace")
        for start in range(len(text) + 1):
            for end in range(start, len(text) + 1):
                rows.append(row)
                starts.append(start)
                ends.append(end)
                wanted.append(text[start:end].encode())
    pieces = Characters(tf.constant(texts)).cut(
        *(tf.constant(x, tf.int64) for x in (rows, starts, ends))
    )
    assert pieces.numpy().tolist() == wanted


def test_characters_of_any_bytes():
    rng = np.random.default_rng(0)
    interesting = [0x41, 0x80, 0xBF, 0xC3, 0xE0, 0xE2, 0xED, 0xF0, 0xF4, 0x9F]
    texts = [
        bytes(rng.choice(interesting, rng.integers(0, 12)).tolist())
        for _ in range(500)
    ]
    texts += ["aé한😀".encode(), b"", "é".encode()[:1]]
    text_bytes = TextBytes(tf.constant(texts))
    for row, data in enumerate(texts):
        starts = character_starts(data)
        assert len(starts) == len(data.decode("utf-8", "replace"))
        places = np.arange(len(data))
        number = np.searchsorted(starts, places, side="right") - 1
        spans = text_bytes.character_spans(
            tf.fill([len(data)], row), tf.constant(places), tf.constant(places)
        )
        ends = np.array([*starts, len(data)])[number + 1]
        expected = np.array(starts)[number], ends, number, number + 1
        for got, want in zip(spans, expected, strict=True):
            np.testing.assert_array_equal(got, want, str(data))


def test_character_numbers():
    text_bytes = TextBytes(tf.constant(["ab", "aé한"]))
    got = text_bytes.character_numbers([0, 1, 1, 1], [2, 0, 3, 6])
    np.testing.assert_array_equal(got, [2, 0, 2, 3])


def test_no_texts():
    text_bytes = TextBytes(tf.constant([], tf.string))
    none = tf.constant([], tf.int64)
    assert all(
        span.shape == (0,)
        for span in text_bytes.character_spans(none, none, none)
    )


def test_gather_in_rows():
    values = tf.ragged.constant([[1, 2, 3], [4]])
    rows, places = np.array([0, 1, 1]), np.array([2, 0, 9])
    got = gather_in_rows(values, tf.constant(rows), tf.constant(places))
    np.testing.assert_array_equal(got, [3, 4, 4])
