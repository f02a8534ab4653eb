import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfbert.tag_scheme import TagScheme, bio_tags
from tfbert.tasks.tag_decoding import decode

TAGS = bio_tags(["PER", "LOC"])
SCHEME = TagScheme.of(TAGS)


def is_legal(tags):
    before = "O"
    for tag in tags:
        if tag[0] == "I" and before[1:] != tag[1:]:
            return False
        before = tag
    return True


def brute_force(scores):
    """The best legal sequence of all [W, C] of them."""
    legal = [
        sequence
        for sequence in itertools.product(range(len(TAGS)), repeat=len(scores))
        if is_legal([TAGS[tag] for tag in sequence])
    ]
    words = np.arange(len(scores))
    return max(legal, key=lambda tags: scores[words, list(tags)].sum())


def test_tags():
    assert TAGS == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert SCHEME.follows[:, 0].tolist() == [-1, -1, 1, -1, 3]
    assert SCHEME.follows[:, 1].tolist() == [-1, -1, 2, -1, 4]
    plain = TagScheme.of(["I-X", "NOUN"], "plain")
    assert plain.follows.tolist() == [[-1, -1], [-1, -1]]


@pytest.fixture(scope="module")
def compiled():
    signature = [
        tf.TensorSpec([None, None, len(TAGS)]),
        tf.TensorSpec([None], tf.int32),
    ]
    return tf.function(
        lambda scores, lengths: decode(scores, lengths, SCHEME), signature
    )


def test_equal_to_brute_force(compiled):
    rng = np.random.default_rng(0)
    lengths = np.array([0, 1, 2, 3, 4, 5] * 8, np.int32)
    # Inside tags are likely, so that many greedy answers are illegal.
    scores = rng.normal(size=(len(lengths), 5, len(TAGS)))
    scores[:, :, [2, 4]] += 1.5
    scores = scores.astype(np.float32)
    answer = compiled(scores, lengths).numpy()
    illegal = 0
    for row, length in enumerate(lengths):
        wanted = brute_force(scores[row, :length])
        assert answer[row, :length].tolist() == list(wanted)
        assert not answer[row, length:].any()
        greedy = scores[row, :length].argmax(axis=1)
        illegal += not is_legal([TAGS[tag] for tag in greedy])
    assert illegal > 10


def test_legal_and_exact_in_long_sentences(compiled):
    rng = np.random.default_rng(1)
    scores = 30 * rng.normal(size=(2, 6000, len(TAGS))).astype(np.float32)
    scores[:, :, [2, 4]] += 30
    answer = compiled(scores, np.array([6000, 4000], np.int32)).numpy()
    assert is_legal([TAGS[tag] for tag in answer[0]])
    # A sentence alone has the same tags, and so has one cut at an O that is
    # certain.
    alone = compiled(scores[1:, :4000], np.array([4000], np.int32)).numpy()
    np.testing.assert_array_equal(answer[1, :4000], alone[0])
    scores[0, 3000, 0] += 1e4
    whole = compiled(scores[:1], np.array([6000], np.int32)).numpy()[0]
    part = compiled(scores[:1, 3000:], np.array([3000], np.int32)).numpy()[0]
    np.testing.assert_array_equal(whole[3000:], part)


def test_nothing_to_decode(compiled):
    assert compiled(np.zeros([0, 3, 5]), []).shape == (0, 3)
    assert compiled(np.zeros([2, 0, 5]), [0, 0]).shape == (2, 0)


def test_plain_tags_are_taken_one_by_one():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(3, 4, 5)).astype(np.float32)
    plain = TagScheme.of(TAGS, "plain")
    answer = decode(scores, np.array([4, 2, 0]), plain).numpy()
    wanted = scores.argmax(axis=2)
    wanted[1, 2:] = wanted[2] = 0
    np.testing.assert_array_equal(answer, wanted)


# Before a tag of the first kind stands one of the second, of its own type.
BOUND = {
    "IO": {},
    "IOB1": {"B": "BI"},
    "IOB2": {"I": "BI"},
    "BIOES": {"I": "BI", "E": "BI"},
}


def is_legal_in(scheme, tags):
    """Whether (prefix, type) pairs are legal; None is before and behind."""
    bound = BOUND[scheme]
    pairs = itertools.pairwise([("O", ""), *tags, ("O", "")])
    for (before, kind), (now, own) in pairs:
        follows = before in bound.get(now, "") and kind == own
        if now in bound and not follows:
            return False
        if scheme == "BIOES" and before in ("B", "I") and not follows:
            return False
    return True


@pytest.mark.parametrize(
    ("scheme", "names"),
    [
        ("IO", "I-Y O I-X"),
        ("IOB1", "B-X I-X O I-Y B-Y"),
        ("IOB2", "I-X B-X I-Y B-Y O"),
        ("BIOES", "E-X I-X B-X O S-X S-Y"),
    ],
)
def test_every_scheme_equals_brute_force(scheme, names):
    tags = TagScheme.of(names.split(), scheme)
    rng = np.random.default_rng(4)
    lengths = np.array([0, 1, 2, 3, 4] * 6, np.int32)
    size = len(tags.names)
    scores = rng.normal(size=(len(lengths), 4, size)).astype(np.float32)
    answer = decode(scores, lengths, tags).numpy()
    for row, length in enumerate(lengths):
        legal = [
            sequence
            for sequence in itertools.product(range(size), repeat=length)
            if is_legal_in(scheme, [tags.parts[tag] for tag in sequence])
        ]
        words = np.arange(length)
        best = max(legal, key=lambda own: scores[row][words, list(own)].sum())
        assert tuple(answer[row, :length]) == best


def test_without_a_legal_sequence_there_is_an_answer():
    # One word cannot be a span here, and there is no O.
    tags = TagScheme.of(["B-X", "E-X"])
    answer = decode(np.ones([1, 1, 2], np.float32), np.array([1]), tags)
    assert answer.numpy().shape == (1, 1)
