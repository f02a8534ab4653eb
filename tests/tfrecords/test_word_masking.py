"""Whole words, n-grams and spans, against a plain Python reference."""

import numpy as np
import pytest
import scipy.stats

from tfbert.errors import UserError
from tfrecords.masking import Masking
from tfrecords.token_classes import TokenClasses

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
    number_at = {word[0]: number for number, word in enumerate(words)}
    total = sum(map(len, words))
    budget = min(max(1, round(masking.rate * total)), total)
    budget = min(budget, masking.max_predictions)
    if masking.strategy == "whole_word":
        weights = [1.0]
    elif masking.strategy == "ngram":
        weights = [1 / n for n in range(1, masking.max_ngram + 1)]
    else:
        stay = 1 - masking.span_probability
        weights = [stay**n for n in range(masking.max_span)]
    runs = {}
    order = sorted(number_at, key=lambda place: (draw(0, place) >> 16, place))
    for start in order:
        drawn, longest, sum_ = uniform(3, start), 1, 0.0
        for n, weight in enumerate(weights[:-1], 1):
            sum_ += weight
            if drawn >= sum_ / sum(weights):
                longest = n + 1
        place = start
        for _ in range(longest):
            if place not in number_at or place in runs:
                break
            word = words[number_at[place]]
            if len(word) > budget:
                break
            budget -= len(word)
            runs.update({piece: start for piece in word})
            place = word[-1] + 1
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
    for number, row in enumerate(rows.tolist()):
        places = set(masked_places(made, number))
        words = words_of(row)
        total = sum(map(len, words))
        budget = min(max(1, round(masking.rate * total)), total)
        budget = min(budget, masking.max_predictions)
        left = budget - len(places)
        assert left >= 0
        for word in words:
            assert len(places & set(word)) in (0, len(word))
            if not places & set(word):
                assert len(word) > left
        assert all(row[place] >= 5 for place in places)


@pytest.mark.parametrize("strategy", ["whole_word", "ngram", "span"])
def test_a_mask_depends_on_seed_epoch_and_row_alone(strategy):
    rows = rows_of(64, 64)
    masking = Masking(strategy)
    whole = apply(masking, rows)
    order = np.random.default_rng(1).permutation(64)
    shuffled = masking.apply(
        rows[order], order, np.zeros(64, np.int64), 7, CLASSES
    )
    for key, value in whole.items():
        np.testing.assert_array_equal(shuffled[key], value[order])
    assert (
        apply(masking, rows, epoch=1)["input_ids"] != whole["input_ids"]
    ).any()


def test_words_are_hidden_equally_often():
    rows = np.full((20_000, 22), 6, np.int32)
    rows[:, 0], rows[:, -1] = CLS, SEP
    rows[:, 2::2] += 40  # Ten words of two pieces.
    rows[:, -1] = SEP
    made = apply(Masking("whole_word", rate=0.1, max_predictions=4), rows)
    assert (made["masked_lm_weights"].sum(1) == 2).all()
    counts = np.bincount(made["masked_lm_positions"][:, 0], minlength=22)
    assert counts[1:-1:2].sum() == 20_000
    assert scipy.stats.chisquare(counts[1:-1:2]).pvalue > 1e-4


@pytest.mark.parametrize(
    "masking, weights",
    [
        (Masking("ngram", 0.1, 10), [1, 1 / 2, 1 / 3]),
        (Masking("span", 0.1, 10), [0.8**n for n in range(10)]),
    ],
)
def test_runs_have_their_lengths(masking, weights):
    """The first run of a row of 102 one-piece words and a budget of 10."""
    rows = np.full((4000, 104), 6, np.int32)
    rows[:, 0], rows[:, -1] = CLS, SEP
    counts = np.zeros(len(weights))
    for number in range(0, 4000, 4):
        _, _, runs = reference(masking, rows[number].tolist(), number, 0, 7)
        start = next(iter(runs.values()))
        if start < 90:
            length = sum(run == start for run in runs.values())
            counts[length - 1] += 1
    expected = np.array(weights) / sum(weights) * counts.sum()
    assert scipy.stats.chisquare(counts, expected).pvalue > 1e-4


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


def test_a_word_longer_than_the_budget_is_left():
    row = np.array([[CLS, 6, 46, 47, 48, SEP]], np.int32)
    made = apply(Masking("whole_word"), row)
    assert not made["masked_lm_weights"].any()
    np.testing.assert_array_equal(made["input_ids"], row)


@pytest.mark.parametrize(
    "wrong", [{"span_probability": 0.0}, {"max_ngram": 0}, {"max_span": 0}]
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        Masking(**wrong)
