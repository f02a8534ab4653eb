"""Whole words, n-grams and spans, against a plain Python reference."""

import numpy as np
import pytest
import scipy.stats

from tfbert.errors import UserError
from tfrecords import keyed_order
from tfrecords.masking import draws
from tfrecords.masking.masking import Masking
from tfrecords.masking.token_classes import TokenClasses

TOKENS = (
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    + [f"w{i}" for i in range(40)]
    + [f"##p{i}" for i in range(40)]
)
CLASSES = TokenClasses.of(TOKENS)
PAD, UNK, CLS, SEP, MASK = range(5)
FIRST_PIECE = 45


def rows_of(count, length, seed=0, pieces=0.4):
    """Rows of words with pieces, some packed, some with [UNK]."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(5, FIRST_PIECE, (count, length)).astype(np.int32)
    piece = rng.random(rows.shape) < pieces
    rows[piece] += 40
    rows[rng.random(rows.shape) < 0.02] = UNK
    for row in rows:
        end = rng.integers(4, length + 1)
        row[end:] = PAD
        row[0], row[end - 1] = CLS, SEP
        if end > 16:
            row[8:10] = SEP, CLS
    return rows


def mix(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def fold(key, value):
    return mix(mix((key + 0x9E3779B97F4A7C15) % 2**64) ^ value)


def words_of(row):
    """[[places of a word], ...] and the set of places that follow one."""
    words = []
    for place, token in enumerate(row):
        if token < 5:
            continue
        goes_on = token >= FIRST_PIECE and row[place - 1] >= 5
        if goes_on:
            words[-1].append(place)
        else:
            words.append([place])
    return words


def reference(masking, row, row_id, epoch, seed):
    """(input ids, masked places, {place: start of its run})."""
    key = fold(fold(fold(seed, 0x3A5C), epoch), row_id)

    def draw(purpose, place):
        counter = purpose * 2**16 + place + 1
        return mix((key + counter * 0x9E3779B97F4A7C15) % 2**64)

    def uniform(purpose, place):
        return (draw(purpose, place) >> 11) / 2**53

    words = words_of(row)
    if masking.strategy == "whole_word":
        weights = [1.0]
    elif masking.strategy == "ngram":
        weights = [1 / n for n in range(1, masking.max_ngram + 1)]
    else:
        stay = 1 - masking.span_probability
        weights = [stay**n for n in range(masking.max_span)]
    cut, left = [], 0
    for number, word in enumerate(words):
        alone = number == 0 or words[number - 1][-1] + 1 != word[0]
        if left == 0 or alone:
            cut.append([])
            drawn, left, sum_ = uniform(3, word[0]), 1, 0.0
            for n, weight in enumerate(weights[:-1], 1):
                sum_ += weight
                if drawn >= sum_ / sum(weights):
                    left = n + 1
        cut[-1].append(word)
        left -= 1
    cut.sort(key=lambda run: draw(0, run[0][0]) >> 16)
    # Around a circle of all tokens, from a place on it.
    total, most = sum(map(len, words)), masking.predictions(len(row))
    wanted = min(masking.rate * total, most)
    start, begin, taken = uniform(4, 0) * max(1, total), 0, []
    for run in cut:
        for word in run:
            after = (begin - start) % max(1, total)
            if after < wanted:
                taken.append((after, word, run[0][0]))
            begin += len(word)
    taken.sort(key=lambda entry: entry[0])
    if taken and len(taken[-1][1]) > most:
        del taken[-1]
    while sum(len(word) for _, word, _ in taken) > most:
        del taken[0]
    runs = {piece: run for _, word, run in taken for piece in word}
    shown = list(row)
    for place in sorted(runs):
        at = runs[place] if masking.strategy == "span" else place
        action = uniform(1, at)
        if action < masking.mask_share:
            shown[place] = MASK
        elif action < masking.mask_share + masking.random_share:
            shown[place] = 5 + ((draw(2, place) >> 32) * 80 >> 32)
    return shown, sorted(runs), runs


def apply(masking, rows, epoch=0, seed=7):
    ids = np.arange(len(rows))
    epochs = np.full(len(rows), epoch)
    return masking.apply(rows, ids, epochs, seed, CLASSES)


def masked_places(made, row):
    taken = made["masked_lm_weights"][row] > 0
    return made["masked_lm_positions"][row][taken].tolist()


STRATEGIES = [
    Masking("whole_word"),
    Masking("whole_word", rate=0.5, max_predictions=9),
    Masking("whole_word", rate=0.1, max_predictions=4),
    Masking("whole_word", rate=1.0),
    Masking("ngram"),
    Masking("ngram", rate=0.4, max_predictions=40, max_ngram=5),
    Masking("span"),
    Masking("span", rate=0.5, max_predictions=60, span_probability=0.5),
    Masking("span", mask_share=0.3, random_share=0.4),
]


@pytest.mark.parametrize("masking", STRATEGIES)
def test_equals_brute_force(masking):
    rows = rows_of(80, 96)
    made = apply(masking, rows, epoch=3)
    for number, row in enumerate(rows.tolist()):
        shown, places, _ = reference(masking, row, number, 3, 7)
        assert masked_places(made, number) == places
        assert made["input_ids"][number].tolist() == shown
        originals = made["masked_lm_ids"][number][: len(places)].tolist()
        assert originals == [row[place] for place in places]


@pytest.mark.parametrize("masking", STRATEGIES)
def test_no_word_is_hidden_in_part_and_budgets_are_kept(masking):
    rows = rows_of(200, 128, seed=1)
    made = apply(masking, rows)
    most = masking.predictions(128)
    assert made["masked_lm_ids"].shape == (200, most)
    for number, row in enumerate(rows.tolist()):
        places = set(masked_places(made, number))
        words = words_of(row)
        wanted = min(masking.rate * sum(map(len, words)), most)
        longest = max(map(len, words), default=0)
        assert len(places) <= min(most, wanted + longest)
        if masking.max_predictions is None:
            assert len(places) > wanted - longest
        for word in words:
            assert len(places & set(word)) in (0, len(word))
        assert all(row[place] >= 5 for place in places)


@pytest.mark.parametrize("strategy", ["whole_word", "ngram", "span"])
def test_a_mask_depends_on_seed_epoch_and_row_alone(strategy):
    rows = rows_of(64, 64)
    masking = Masking(strategy)
    whole = apply(masking, rows)
    keyed_order = np.random.default_rng(1).permutation(64)
    shuffled = masking.apply(
        rows[keyed_order], keyed_order, np.zeros(64, np.int64), 7, CLASSES
    )
    for key, value in whole.items():
        np.testing.assert_array_equal(shuffled[key], value[keyed_order])
    assert (
        apply(masking, rows, epoch=1)["input_ids"] != whole["input_ids"]
    ).any()


def test_words_are_hidden_equally_often():
    rows = np.full((20_000, 22), 6, np.int32)
    rows[:, 0], rows[:, -1] = CLS, SEP
    rows[:, 2::2] += 40  # Ten words of two pieces.
    rows[:, -1] = SEP
    made = apply(Masking("whole_word", rate=0.1), rows)
    assert (made["masked_lm_weights"].sum(1) == 2).all()
    counts = np.bincount(made["masked_lm_positions"][:, 0], minlength=22)
    assert counts[1:-1:2].sum() == 20_000
    assert scipy.stats.chisquare(counts[1:-1:2]).pvalue > 1e-4


def words_of_all_sizes(count, length, seed=0):
    """Rows of words of 1 to 8 pieces, most of them short, and the sizes."""
    rng = np.random.default_rng(seed)
    shares = np.array([60, 14, 9, 6, 4, 3, 2, 2]) / 100
    rows = np.zeros((count, length), np.int32)
    sizes = np.zeros((count, length), np.int64)
    for row, size in zip(rows, sizes, strict=True):
        drawn = rng.choice(8, length, p=shares) + 1
        ends = np.cumsum(drawn)
        drawn = drawn[ends <= length - 2]
        end = int(drawn.sum())
        places = np.repeat(np.cumsum(drawn) - drawn, drawn)
        row[1 : end + 1] = np.where(np.arange(end) == places, 6, 46)
        size[1 : end + 1] = np.repeat(drawn, drawn)
        row[0], row[end + 1] = CLS, SEP
    return rows, sizes


@pytest.mark.parametrize("length", [32, 64, 128, 512])
@pytest.mark.parametrize("strategy", ["whole_word", "ngram", "span"])
def test_long_words_are_hidden_as_often_as_short_ones(strategy, length):
    rows, sizes = words_of_all_sizes(400_000 // length, length)
    maskable = rows > 4
    counts = np.zeros((2, 9))
    for epoch in range(4):
        made = apply(Masking(strategy), rows, epoch)
        taken = made["masked_lm_weights"] > 0
        hidden = np.zeros(rows.shape, bool)
        hidden[np.nonzero(taken)[0], made["masked_lm_positions"][taken]] = True
        counts[0] += np.bincount(sizes[maskable], hidden[maskable], 9)
        counts[1] += np.bincount(sizes[maskable], minlength=9)
    share = counts[0, 1:] / counts[1, 1:]
    assert np.abs(share - 0.15).max() < 0.015, share.round(4)
    assert abs(counts[0].sum() / counts[1].sum() - 0.15) < 0.004


@pytest.mark.parametrize(
    "masking, weights",
    [
        (Masking("ngram"), [1, 1 / 2, 1 / 3]),
        (Masking("span"), [0.8**n for n in range(10)]),
    ],
)
def test_runs_have_their_lengths(masking, weights):
    """Those that are hidden whole: not the first and last of a stretch."""
    rows = np.full((3000, 104), 6, np.int32)
    rows[:, 0], rows[:, -1] = CLS, SEP
    _, runs = draws.choose_words(
        rows > 4,
        rows > 4,
        keyed_order.fold(0, np.arange(3000)),
        np.full(3000, 10.0),
        20,
        masking._run_lengths(),
    )
    counts = np.zeros(len(weights))
    for row in runs[:, 1:-1]:
        # The row's end cuts the last one.
        found = np.unique(row[:80], return_counts=True)[1][:-1]
        counts += np.bincount(found - 1, minlength=len(weights))
    expected = np.array(weights) / sum(weights) * counts.sum()
    # Long runs are cut off at column 80 a little more often.
    np.testing.assert_allclose(counts, expected, rtol=0.1)


def test_spans_are_shown_as_a_whole():
    rows = np.full((500, 104), 6, np.int32)
    rows[:, 0], rows[:, -1] = CLS, SEP
    masking = Masking("span", random_share=0.2)
    made = apply(masking, rows)
    for number in range(100):
        _, _, runs = reference(masking, rows[number].tolist(), number, 0, 7)
        shown = made["input_ids"][number]
        for start in set(runs.values()):
            span = [p for p, run in runs.items() if run == start]
            assert len({bool(shown[p] == MASK) for p in span}) == 1


def test_a_word_of_more_pieces_than_places_is_left():
    row = np.array([[CLS, 6, 46, 47, 48, 7, SEP]], np.int32)
    masking = Masking("whole_word", rate=0.5, max_predictions=2)
    seen = set()
    for epoch in range(30):
        made = apply(masking, row, epoch)
        seen.add(tuple(masked_places(made, 0)))
    assert seen == {(), (5,)}


@pytest.mark.parametrize(
    "wrong", [{"span_probability": 0.0}, {"max_ngram": 0}, {"max_span": 0}]
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        Masking(**wrong)
