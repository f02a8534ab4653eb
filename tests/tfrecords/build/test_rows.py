import numpy as np
import pytest

from tfrecords.build import packing, pairs, rows
from tfrecords.masking.token_classes import TokenClasses

TOKENS = (
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."]
    + [f"w{i}" for i in range(50)]
    + [f"##p{i}" for i in range(20)]
)
CLASSES = TokenClasses.of(TOKENS)


def documents_of(lengths, seed=0):
    """(ids, bounds) of documents of such lengths; each starts with a word."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(5, len(TOKENS), sum(lengths)).astype(np.int32)
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids[bounds[:-1][np.diff(bounds) > 0]] = 6
    return ids, bounds


def sequences_of(values):
    """The token lists between [CLS] and [SEP] of all rows."""
    found = []
    for row in values.tolist():
        for token in row:
            if token == 2:
                found.append([])
            elif token not in (0, 3):
                found[-1].append(token)
    return found


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("length", [8, 16, 64])
def test_every_token_is_in_one_row_in_order(packed, length):
    lengths = [0, 1, 5, 100, 3, 0, 14, 62, 61, 60, 6, 2, 1, 1, 1, 333]
    ids, bounds = documents_of(lengths)
    made = rows.cut(ids, bounds, length, CLASSES, packed)
    assert made.values.shape[1] == length
    pieces = sequences_of(made.values)
    assert made.sequences == len(pieces)
    assert made.tokens == (made.values != 0).sum()
    assert sum(map(len, pieces)) == sum(lengths)
    # Pieces are the documents cut: each document is a chain of them.
    left = sorted(map(tuple, pieces))
    for start, end in zip(bounds[:-1], bounds[1:], strict=True):
        rest = ids[start:end].tolist()
        while rest:
            size = max(
                size
                for size in range(1, length - 1)
                if tuple(rest[:size]) in left
            )
            left.remove(tuple(rest[:size]))
            rest = rest[size:]
    assert not left


def test_rows_begin_with_words_where_one_is_near():
    ids, bounds = documents_of([5000])
    made = rows.cut(ids, bounds, 64, CLASSES)
    begins = CLASSES.word_start[made.values[:, 1]]
    assert begins.mean() > 0.9
    long_word = np.full(500, len(TOKENS) - 1, np.int32)
    long_word[0] = 6
    made = rows.cut(long_word, np.array([0, 500]), 64, CLASSES)
    assert len(made.values) == -(-500 // 62)


def test_packed_rows_waste_little():
    rng = np.random.default_rng(3)
    ids, bounds = documents_of(rng.integers(1, 200, 4000).tolist())
    made = rows.cut(ids, bounds, 128, CLASSES)
    assert made.tokens / made.values.size > 0.995
    apart = rows.cut(ids, bounds, 128, CLASSES, packed=False)
    assert apart.tokens / apart.values.size < 0.8


def test_no_documents_no_rows():
    for packed in (True, False):
        made = rows.cut(
            np.zeros(0, np.int32), np.zeros(3, np.int64), 16, CLASSES, packed
        )
        assert made.values.shape == (0, 16)


def test_best_fit_is_the_textbook_rule():
    """Against a plain search for the fullest row that has room."""
    rng = np.random.default_rng(0)
    for capacity in (5, 17, 64):
        lengths = rng.integers(1, capacity + 1, 300).tolist()
        made = packing.best_fit(lengths, capacity)
        assert sorted(sum(made, [])) == list(range(300))
        rooms = []
        for length in sorted(lengths, reverse=True):
            fitting = [room for room in rooms if room >= length]
            if fitting:
                rooms.remove(min(fitting))
                rooms.append(min(fitting) - length)
            else:
                rooms.append(capacity - length)
        found = [capacity - sum(lengths[i] for i in row) for row in made]
        assert min(found) >= 0
        assert sorted(found) == sorted(rooms)


def make_pairs(turn, seed=0, lengths=None):
    lengths = lengths or [300, 1, 0, 900, 40, 500, 2] * 20
    ids, bounds = documents_of(lengths)
    # Every token says where it stands, so that a pair can be traced.
    ids = np.arange(len(ids), dtype=np.int32) % 50_000 + 100
    ids[np.arange(len(ids)) % 9 == 8] = 5
    classes = TokenClasses.of(TOKENS + [f"x{i}" for i in range(60_000)])
    made = pairs.make(
        ids,
        bounds,
        64,
        classes,
        turn=turn,
        seed=seed,
        chunk=("train", 0),
    )
    return made, ids, bounds


def split_pair(row):
    tokens = row[:-1].tolist()
    assert tokens[0] == 2
    middle = tokens.index(3)
    end = tokens.index(3, middle + 1)
    assert set(tokens[end + 1 :]) <= {0}
    return tokens[1:middle], tokens[middle + 1 : end], row[-1]


@pytest.mark.parametrize("turn", [True, False])
def test_pairs_follow_their_labels(turn):
    made, ids, bounds = make_pairs(turn)
    assert made.values.shape[1] == 65
    text = ids.tolist()
    found = {}
    for start in range(len(text)):
        found.setdefault(tuple(text[start : start + 3]), []).append(start)

    def places(segment):
        if len(segment) < 3:
            return set()
        return {
            start
            for start in found.get(tuple(segment[:3]), [])
            if text[start : start + len(segment)] == segment
        }

    labels = []
    for row in made.values:
        first, second, label = split_pair(row)
        labels.append(label)
        assert first and second
        at, then = places(first), places(second)
        if not at or not then:
            continue
        follows = any(place + len(first) in then for place in at)
        turned = any(place + len(second) in at for place in then)
        assert turned if label else follows
        number = len(labels) - 1
        start = bounds[made.documents[number]]
        assert any(start <= place < start + 900 for place in at)
    if turn:
        assert 0.35 < np.mean(labels) < 0.65
    else:
        assert not any(labels)
    assert made.tokens == (made.values[:, :-1] != 0).sum()


def test_pairs_are_a_function_of_the_seed():
    one, *_ = make_pairs(True, seed=1)
    same, *_ = make_pairs(True, seed=1)
    other, *_ = make_pairs(True, seed=2)
    np.testing.assert_array_equal(one.values, same.values)
    assert one.values.shape != other.values.shape or (
        (one.values != other.values).any()
    )


@pytest.mark.parametrize("turn", [True, False])
def test_every_token_is_in_one_pair(turn):
    """But for documents of a single token: no tail is lost."""
    for seed in range(5):
        made, ids, bounds = make_pairs(turn, seed)
        sizes = np.diff(bounds)
        wanted = np.concatenate(
            [
                ids[start : start + size]
                for start, size in zip(bounds, sizes, strict=False)
                if size > 1
            ]
        )
        found = made.values[:, :-1]
        np.testing.assert_array_equal(
            np.sort(found[found > 3]), np.sort(wanted[wanted > 3])
        )


def test_pairs_without_marks_break_at_words():
    ids, bounds = documents_of([2000, 700])
    ids[ids == 5] = 6
    made = pairs.make(
        ids, bounds, 64, CLASSES, turn=False, seed=0, chunk=("train", 0)
    )
    first = made.values[:, 1]
    assert CLASSES.word_start[first].all()
