import random

import numpy as np
import pytest
import tensorflow as tf

from tfbert.batch_keys import TOKEN_KEYS
from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer, longest_text
from tfbert.text.windows.long_texts import (
    HEAD,
    HEAD_TAIL,
    WINDOWS,
    LongTexts,
)
from tfbert.text.windows.texts import read_texts

VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] a b c ##a ##b é 東 京 . !".split()
WORDS = "a b c ab ba abab babababa É é 東京 . ! \U0001f600 q".split()
S = 9


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(VOCABULARY)


def texts(count, most, seed=0):
    draw = random.Random(seed)
    return [
        " ".join(draw.choices(WORDS, k=draw.randrange(most)))
        for _ in range(count)
    ] + ["", "a" * 40, "abababab" * 3]


def reader(tokenizer, how, overlap=2, max_windows=1000):
    def read(*given):
        return read_texts(
            tokenizer,
            *given,
            max_length=S,
            long_texts=LongTexts(how, overlap, max_windows),
        )

    return read


def pieces(tokenizer, given):
    return tokenizer(given).to_list()


def held(rows, number):
    """The texts in a row: [ids], or [ids, ids] of a pair."""
    ids = rows.batch["input_ids"].numpy()[number]
    mask = rows.batch["input_mask"].numpy()[number]
    segments = rows.batch["segment_ids"].numpy()[number]
    assert mask.tolist() == sorted(mask, reverse=True)
    real = ids[: mask.sum()].tolist()
    assert real[0] == 2 and real[-1] == 3
    if 1 in segments:
        middle = segments.tolist().index(1)
        assert real[middle - 1] == 3
        return [real[1 : middle - 1], real[middle:-1]]
    return [real[1:-1]]


def oracle(ids, room, overlap, most):
    """Spans of windows, found by trying, in plain Python."""
    inside = [VOCABULARY[i].startswith("##") for i in ids]
    size = len(ids)

    def is_border(place):
        return place in (0, size) or not inside[place]

    def reach(start):
        far = min(start + room, size)
        ends = [e for e in range(start + 1, far + 1) if is_border(e)]
        return max(ends, default=far)

    spans, start = [], 0
    while True:
        end = reach(start)
        spans.append((start, end))
        if end == size or len(spans) == most:
            return spans
        starts = range(max(end - overlap, start + 1), end + 1)
        start = min((s for s in starts if is_border(s)), default=end)
        start = start if reach(start) > end else end


@pytest.mark.parametrize("overlap", [0, 1, 3])
@pytest.mark.parametrize("most", [1000, 2])
def test_windows_are_those_that_trying_finds(tokenizer, overlap, most):
    given = texts(60, 30)
    rows = reader(tokenizer, WINDOWS, overlap, most)(given)
    text = rows.text.numpy()
    assert (np.diff(text) >= 0).all()
    for n, ids in enumerate(pieces(tokenizer, given)):
        spans = oracle(ids, S - 2, overlap, most)
        want = [[ids[a:b]] for a, b in spans]
        assert [held(rows, r) for r in np.flatnonzero(text == n)] == want
        assert rows.lengths[n] == len(ids) + 2
        assert bool(rows.cut[n]) == (spans[-1][1] < len(ids))
        if most == 1000:
            # Nothing is lost, nothing stands still, and borders are words'.
            covered = {p for a, b in spans for p in range(a, b)}
            assert covered == set(range(len(ids)))
            for (a, b), (c, d) in zip(spans, spans[1:], strict=False):
                assert a < c <= b < d
                assert b - c <= overlap


def test_words_are_whole_where_a_window_can_hold_them(tokenizer):
    given = texts(60, 40, seed=3)[:-2]
    rows = reader(tokenizer, WINDOWS)(given)
    assert len(rows.text) > 2 * len(given)
    for r in range(len(rows.text)):
        (ids,) = held(rows, r)
        # "babababa" is of eight pieces, and is the only one to be cut.
        if ids and VOCABULARY[ids[0]].startswith("##"):
            word = max(pieces(tokenizer, WORDS), key=len)
            assert len(word) > S - 2


def test_of_pairs_the_longer_text_goes_through_windows(tokenizer):
    first, second = texts(80, 25, seed=1), texts(80, 9, seed=2)
    swap = slice(0, None, 2)
    first[swap], second[swap] = second[swap], first[swap]
    rows = reader(tokenizer, WINDOWS)(first, second)
    text, room = rows.text.numpy(), S - 3
    several = 0
    for n, (a, b) in enumerate(
        zip(pieces(tokenizer, first), pieces(tokenizer, second), strict=True)
    ):
        longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
        beside = shorter[: room // 2]
        spans = oracle(longer, room - len(beside), 2, 1000)
        several += len(spans) > 1
        want = [[longer[i:j], beside] for i, j in spans]
        if len(a) < len(b):
            want = [pair[::-1] for pair in want]
        assert [held(rows, r) for r in np.flatnonzero(text == n)] == want
        assert bool(rows.cut[n]) == (len(beside) < len(shorter))
    assert several > 20


@pytest.mark.parametrize("how", [HEAD, HEAD_TAIL, WINDOWS])
@pytest.mark.parametrize("pairs", [False, True])
def test_what_fits_into_a_row_is_as_ever(tokenizer, how, pairs):
    given = [texts(30, 4, seed)[:-2] for seed in range(1 + pairs)]
    fits = tokenizer(given[0]).row_lengths()
    if pairs:
        fits += tokenizer(given[1]).row_lengths()
    some = np.flatnonzero(fits.numpy() <= S - 2 - pairs)
    given = [np.array(t, object)[some] for t in given]
    rows = reader(tokenizer, how)(*given)
    ever = tokenizer.encode(*given, max_length=S)
    for key in TOKEN_KEYS:
        np.testing.assert_array_equal(rows.batch[key], ever[key])
    assert rows.text.numpy().tolist() == list(range(len(some)))
    assert not rows.cut.numpy().any()


def test_head_is_what_encode_makes(tokenizer):
    given = texts(40, 30)
    rows = reader(tokenizer, HEAD)(given)
    ever = tokenizer.encode(given, max_length=S)
    for key in TOKEN_KEYS:
        np.testing.assert_array_equal(rows.batch[key], ever[key])
    longer = [len(ids) > S - 2 for ids in pieces(tokenizer, given)]
    assert rows.cut.numpy().tolist() == longer
    assert 10 < sum(longer) < 40


def test_head_tail_keeps_a_quarter_and_three_quarters(tokenizer):
    given = texts(40, 30)
    rows = reader(tokenizer, HEAD_TAIL)(given)
    for n, ids in enumerate(pieces(tokenizer, given)):
        want = ids if len(ids) <= 7 else ids[:2] + ids[-5:]
        assert held(rows, n) == [want]
        assert bool(rows.cut[n]) == (len(ids) > 7)


def test_head_and_tail_of_a_row_of_512_are_those_of_the_paper(tokenizer):
    ids = tokenizer(["a " * 300 + "b " * 300])[0].numpy().tolist()
    rows = read_texts(
        tokenizer,
        ["a " * 300 + "b " * 300],
        max_length=512,
        long_texts=LongTexts(HEAD_TAIL),
    )
    assert held(rows, 0) == [ids[:128] + ids[-382:]]


def test_the_tail_of_megabytes_is_read(tokenizer):
    limit = longest_text(S)
    given = ["a " * limit + "q " * limit + "b c ."]
    rows = reader(tokenizer, HEAD_TAIL)(given)
    want = tokenizer(["a a q q b c ."])[0].numpy().tolist()
    assert held(rows, 0) == [want]


def test_head_tail_of_a_pair_keeps_what_the_cut_pair_would(tokenizer):
    rows = reader(tokenizer, HEAD_TAIL)(["a b c . ! a b"], ["c b a ! ."])
    cut = tokenizer.encode(["a b c . ! a b"], ["c b a ! ."], max_length=S)
    assert rows.batch["segment_ids"][0].numpy().tolist() == (
        cut["segment_ids"][0].numpy().tolist()
    )
    first, second = pieces(tokenizer, ["a b c . ! a b", "c b a ! ."])
    want = [first[:1] + first[-2:], second[:1] + second[-2:]]
    assert held(rows, 0) == want


def test_a_graph_makes_the_same_rows(tokenizer):
    given, read = texts(20, 30), reader(tokenizer, WINDOWS)
    spec = [tf.TensorSpec([None], tf.string)]
    compiled = tf.function(read, input_signature=spec, autograph=False)
    for some in (given, given[:1], []):
        tf.nest.map_structure(
            np.testing.assert_array_equal,
            compiled(tf.constant(some, tf.string)),
            read(tf.constant(some, tf.string)),
        )


def test_no_texts_have_no_rows(tokenizer):
    rows = reader(tokenizer, WINDOWS)(tf.constant([], tf.string))
    assert rows.batch["input_ids"].shape == (0, S)
    assert rows.cut.shape == (0,)


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda t: LongTexts("middle"), "windows, head, head_tail"),
        (lambda t: LongTexts(WINDOWS, 0, 0), "above 0, got 0"),
        (lambda t: reader(t, WINDOWS, overlap=4)(["a"]), "0 to 3"),
        (lambda t: reader(t, WINDOWS, overlap=-1)(["a"]), "0 to 3"),
    ],
)
def test_refusals(tokenizer, make, wanted):
    with pytest.raises(UserError, match=wanted):
        make(tokenizer)
