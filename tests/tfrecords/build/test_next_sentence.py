"""No rule on a token, a length or a piece tells the label of a pair."""

import numpy as np
import pytest

from tfrecords import keyed_order
from tfrecords.build import next_sentence, pairs
from tfrecords.layout import Layout
from tfrecords.masking.token_classes import TokenClasses
from tfrecords.storage.writer import ShardWriter

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CLASSES = TokenClasses.of(
    [*SPECIAL, ".", ",", *[f"w{i}" for i in range(40)]]
    + [f"##p{i}" for i in range(20)]
    + [f"t{i}" for i in range(1600)]
)
STOP, COMMA, WORDS, PIECES, TOPICS = 5, 6, 7, 47, 67


def prose(rng, size, topic=None):
    """Sentences of 3 to 30 tokens, of words of one piece and more."""
    text = []
    while len(text) < size:
        count = rng.integers(2, 30)
        sentence = rng.integers(WORDS, PIECES, count)
        pieces = rng.random(count) < 0.2
        pieces[0] = False
        sentence[pieces] = rng.integers(PIECES, TOPICS, pieces.sum())
        if topic is not None:
            sentence[rng.random(count) < 0.05] = TOPICS + topic
        text += [*sentence.tolist(), STOP]
    return text[:size]


def technical(rng, size, topic=None):
    """Lists and names: long stretches without a mark, ends without one."""
    text = []
    while len(text) < size:
        part = prose(rng, rng.integers(20, 300), topic)
        if rng.random() < 0.7:
            part = [COMMA if token == STOP else token for token in part]
        text += part
    return text[:size]


def characters(rng, size, topic=None):
    """No pieces, and sentences of any length, as in Chinese."""
    text = prose(rng, size, topic)
    return [WORDS if PIECES <= token < TOPICS else token for token in text]


def make(documents, length=64, turn=False, chunk_tokens=20_000, seed=3):
    """(documents int64 [N], rows [N, S + 1]) of documents in chunks."""
    chunks, size = [[]], 0
    for number, text in enumerate(documents):
        for start in range(0, len(text), chunk_tokens):
            part = text[start : start + chunk_tokens]
            chunks[-1].append((number, part))
            size += len(part)
            if size >= chunk_tokens:
                chunks.append([])
                size = 0
    for place, chunk in enumerate(chunks):
        if not chunk:
            continue
        numbers, texts = zip(*chunk, strict=True)
        bounds = np.cumsum([0, *map(len, texts)])
        made = pairs.make(
            np.array(sum(texts, []), np.int32),
            bounds,
            length,
            CLASSES,
            turn=turn,
            seed=seed,
            chunk=("train", place),
        )
        yield np.array(numbers)[made.documents], made.values


def exchanged(folder, documents, length=64, seed=3):
    """(documents [N], rows in order, rows as written, counts)."""
    layout = Layout.make(length, 1, CLASSES.vocab_size)
    pool = next_sentence.Pairs(folder / "pairs", layout, CLASSES)
    owners, rows = zip(*make(documents, length), strict=True)
    for owner, part in zip(owners, rows, strict=True):
        pool.add(part, owner)
    written = []
    writer = ShardWriter(folder, layout, 10**6)
    writer.write = lambda some: written.append(np.array(some, np.int64))
    counts = pool.write(writer, keyed_order.fold(0, seed))
    assert not (folder / "pairs").exists()
    return (*map(np.concatenate, (owners, rows, written)), counts)


def best_rule(values, labels):
    """How often the best rule on a feature is right, on rows not fitted."""
    fitted = np.arange(len(labels)) % 2 == 0
    size = values.max() + 1
    ones = np.bincount(values[fitted], labels[fitted], size)
    seen = np.bincount(values[fitted], minlength=size)
    rule = (ones * 2 > seen)[values[~fitted]]
    right = [(rule == labels[~fitted]).mean()]
    for limit in np.unique(values):
        above = ((values[fitted] >= limit) == labels[fitted]).mean()
        same = ((values[~fitted] >= limit) == labels[~fitted]).mean()
        right.append(same if above > 0.5 else 1 - same)
    return max(right)


def features(rows):
    tokens, places = rows[:, :-1], np.arange(len(rows))
    middles, ends = next_sentence._marks(tokens, CLASSES)
    found = {
        "a's length": middles - 1,
        "b's length": ends - middles - 1,
        "length": ends,
    }
    for name, place in (
        ("a's first", np.ones_like(ends)),
        ("a's last", middles - 1),
        ("b's first", middles + 1),
        ("b's last", ends - 1),
    ):
        token = tokens[places, place]
        found[name] = token
        found[f"{name} is a piece"] = (~CLASSES.word_start[token]).astype(int)
        found[f"{name} is a mark"] = CLASSES.sentence_end[token].astype(int)
    return found


TEXTS = {
    "many": [300] * 400,
    "short": [40] * 1500 + [3, 2, 1],
    "chunks of one document": [45_000, 60_000, 52_000],
    "two": [70_000, 50_000],
}


@pytest.mark.parametrize("sizes", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("text", [prose, technical, characters])
def test_no_rule_tells_the_label(tmp_path, text, sizes):
    rng = np.random.default_rng(len(sizes))
    documents = [text(rng, size) for size in sizes]
    _, _, rows, (tokens, changed) = exchanged(tmp_path, documents)
    labels = rows[:, -1]
    assert 0.45 < labels.mean() < 0.55
    assert changed == labels.sum()
    assert tokens == (rows[:, :-1] != 0).sum()
    for name, values in features(rows).items():
        assert best_rule(values, labels) < 0.55, name


@pytest.mark.parametrize("text", [prose, technical, characters])
def test_no_rule_tells_the_order(text):
    rng = np.random.default_rng(1)
    documents = [text(rng, size) for size in [300] * 300 + [60_000]]
    _, rows = zip(*make(documents, turn=True), strict=True)
    rows = np.concatenate(rows)
    assert 0.45 < rows[:, -1].mean() < 0.55
    for name, values in features(rows).items():
        assert best_rule(values, rows[:, -1]) < 0.55, name


def segments_of(rows):
    middles, ends = next_sentence._marks(rows[:, :-1], CLASSES)
    return [
        (row[1:middle].tolist(), row[middle + 1 : end].tolist())
        for row, middle, end in zip(rows, middles, ends, strict=True)
    ]


@pytest.mark.parametrize("sizes", TEXTS.values(), ids=TEXTS)
def test_second_segments_are_exchanged_between_documents(tmp_path, sizes):
    """Every token says of which document it is; no text is lost."""
    rng = np.random.default_rng(5)
    documents = []
    for number, size in enumerate(sizes):
        text = np.array(prose(rng, size))
        text[text != STOP] = TOPICS + number
        documents.append(text.tolist())
    owners, before, rows, _ = exchanged(tmp_path, documents)
    old, new = segments_of(before), segments_of(rows)
    for owner, label, (one, two), (a, b) in zip(
        owners, rows[:, -1], old, new, strict=True
    ):
        assert a == one
        if label:
            others = set(b) - {STOP}
            assert others != {TOPICS + owner} or others == set()
        else:
            assert b == two
    lost = sum(map(len, [b for _, b in old]))
    lost -= sum(map(len, [b for _, b in new]))
    assert abs(lost) < 0.02 * sum(sizes)


def test_one_long_document_borrows_from_short_ones(tmp_path):
    rng = np.random.default_rng(2)
    documents = [prose(rng, 40_000), *(prose(rng, 200) for _ in range(40))]
    owners, _, rows, _ = exchanged(tmp_path, documents)
    assert 0.45 < rows[:, -1].mean() < 0.55
    assert 0.45 < rows[owners == 0, -1].mean() < 0.55


def test_one_document_stays_in_order(tmp_path):
    documents = [prose(np.random.default_rng(0), 5000)]
    _, before, rows, (_, changed) = exchanged(tmp_path, documents)
    np.testing.assert_array_equal(rows, before)
    assert not changed


def test_no_pairs_no_rows(tmp_path):
    layout = Layout.make(64, 1, CLASSES.vocab_size)
    pool = next_sentence.Pairs(tmp_path / "pairs", layout, CLASSES)
    pool.add(np.zeros((0, 65), np.int32), np.zeros(0, np.int64))
    assert pool.write(None, keyed_order.fold(0, 0)) == (0, 0)


def test_what_is_exchanged_is_a_function_of_the_key(tmp_path):
    documents = [prose(np.random.default_rng(n), 300) for n in range(60)]
    one = exchanged(tmp_path, documents)[2]
    np.testing.assert_array_equal(exchanged(tmp_path, documents)[2], one)
    other = exchanged(tmp_path, documents, seed=4)[2]
    assert (other != one).any()


def test_windows_give_what_one_window_gives(tmp_path, monkeypatch):
    """A large build exchanges within windows, and the rest across them."""
    monkeypatch.setattr(next_sentence, "_WINDOW_BITS", 6)
    rng = np.random.default_rng(0)
    documents = [prose(rng, 30_000) for _ in range(3)]
    _, _, rows, _ = exchanged(tmp_path, documents)
    labels = rows[:, -1]
    assert 0.45 < labels.mean() < 0.55
    for name, values in features(rows).items():
        assert best_rule(values, labels) < 0.55, name
