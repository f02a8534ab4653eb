import dataclasses
import json
import math

import numpy as np
import pytest
import scipy.stats

from tfbert.errors import UserError
from tfrecords.build.settings import BuildSettings
from tfrecords.masking.masking import Masking
from tfrecords.masking.token_classes import TokenClasses

TOKENS = (
    ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]"]
    + [f"w{i}" for i in range(40)]
    + [f"##p{i}" for i in range(13)]
)
CLASSES = TokenClasses.of(TOKENS)
PAD, UNK, CLS, SEP, MASK = 0, 2, 3, 4, 5
FIRST_WORD = 7


def rows_of(count, length, seed=0):
    """Rows of any kind: short, packed, full, with [UNK], and one bare."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((count, length), np.int32)
    for row in rows:
        end = rng.integers(3, length + 1)
        row[:end] = rng.integers(FIRST_WORD, len(TOKENS), end)
        row[rng.random(length) < 0.02] = UNK
        row[end:] = PAD
        row[0], row[end - 1] = CLS, SEP
        if end > 20:
            row[9:11] = SEP, CLS
    rows[0] = PAD
    rows[0, :3] = CLS, UNK, SEP
    return rows


def reference(masking, row, row_id, epoch, seed):
    """The mask of one row, token by token, in Python's whole numbers.

    Returns: (input ids, [(position, original), ...] ascending)
    """

    def mix(z):
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    def fold(key, value):
        gamma = 0x9E3779B97F4A7C15
        return mix(mix((key + gamma) % 2**64) ^ value)

    key = fold(fold(fold(seed % 2**64, 0x3A5C), epoch), row_id)

    def draw(purpose, place):
        counter = purpose * 2**16 + place + 1
        return mix((key + counter * 0x9E3779B97F4A7C15) % 2**64)

    special = {PAD, UNK, CLS, SEP, MASK}
    candidates = [i for i, token in enumerate(row) if token not in special]
    uniform = (draw(4, 0) >> 11) / 2**53
    wanted = min(masking.rate * len(candidates), masking.predictions(len(row)))
    budget = math.floor(wanted + uniform)
    candidates.sort(key=lambda i: (draw(0, i) >> 16, i))
    shown = list(row)
    masked = []
    allowed = [
        i
        for i, token in enumerate(TOKENS)
        if i not in special and "unused" not in token
    ]
    for place in sorted(candidates[:budget]):
        masked.append((place, row[place]))
        uniform = (draw(1, place) >> 11) / 2**53
        if uniform < masking.mask_share:
            shown[place] = MASK
        elif uniform < masking.mask_share + masking.random_share:
            number = draw(2, place) >> 32
            shown[place] = allowed[number * len(allowed) >> 32]
    return shown, masked


def apply(masking, rows, ids=None, epoch=0, seed=7):
    ids = np.arange(len(rows)) if ids is None else np.asarray(ids)
    epochs = np.full(len(rows), epoch)
    return masking.apply(rows, ids, epochs, seed, CLASSES)


@pytest.mark.parametrize(
    "masking",
    [
        Masking(),
        Masking(rate=0.4, max_predictions=7),
        Masking(rate=1.0, max_predictions=94, mask_share=0, random_share=1),
        Masking(mask_share=0.2, random_share=0.3, max_predictions=3),
    ],
)
@pytest.mark.parametrize("seed", [0, 3, -1, 2**70 + 1])
def test_equals_brute_force(masking, seed):
    rows = rows_of(60, 96)
    ids = np.arange(60) * 1_000_003
    made = masking.apply(rows, ids, np.arange(60) % 4, seed, CLASSES)
    for number, row in enumerate(rows.tolist()):
        shown, masked = reference(
            masking, row, int(ids[number]), number % 4, seed
        )
        assert made["input_ids"][number].tolist() == shown
        count = len(masked)
        pairs = zip(
            made["masked_lm_positions"][number].tolist(),
            made["masked_lm_ids"][number].tolist(),
            strict=True,
        )
        padding = [(0, 0)] * (masking.predictions(96) - count)
        assert list(pairs) == masked + padding
        weights = made["masked_lm_weights"][number]
        assert weights.tolist() == [1.0] * count + [0.0] * len(padding)


def test_shapes_and_types():
    made = apply(Masking(max_predictions=7), rows_of(4, 10))
    assert made["input_ids"].shape == (4, 10)
    for key in ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights"):
        assert made[key].shape == (4, 7)
    kinds = {key: value.dtype.name for key, value in made.items()}
    assert kinds.pop("masked_lm_weights") == "float32"
    assert set(kinds.values()) == {"int32"}


def test_a_mask_depends_on_seed_epoch_and_row_alone():
    rows = rows_of(64, 64)
    whole = apply(Masking(), rows)
    order = np.random.default_rng(1).permutation(64)
    shuffled = apply(Masking(), rows[order], order)
    for key, value in whole.items():
        np.testing.assert_array_equal(shuffled[key], value[order])
        for row in (0, 17, 63):
            one = apply(Masking(), rows[row : row + 1], [row])
            np.testing.assert_array_equal(one[key][0], value[row])
    for other in (
        apply(Masking(), rows, epoch=1),
        apply(Masking(), rows, seed=8),
        apply(Masking(), rows, ids=np.arange(64) + 1),
    ):
        same = other["masked_lm_positions"] == whole["masked_lm_positions"]
        assert not same.all()


def test_the_original_can_be_put_back_and_special_tokens_stay():
    rows = rows_of(200, 128)
    made = apply(Masking(rate=0.5, max_predictions=64), rows)
    weights = made["masked_lm_weights"].astype(bool)
    restored = made["input_ids"].copy()
    for row in range(200):
        places = made["masked_lm_positions"][row][weights[row]]
        restored[row, places] = made["masked_lm_ids"][row][weights[row]]
    np.testing.assert_array_equal(restored, rows)
    hidden = made["masked_lm_ids"][weights]
    assert CLASSES.maskable[hidden].all()


def test_rate_one_masks_every_token_that_may_be():
    rows = rows_of(20, 32)
    masking = Masking(
        rate=1.0, max_predictions=30, mask_share=1.0, random_share=0.0
    )
    made = apply(masking, rows)
    want = np.where(CLASSES.maskable[rows], MASK, rows)
    np.testing.assert_array_equal(made["input_ids"], want)


def test_shares_follow_their_settings():
    rows = np.full((4000, 128), FIRST_WORD, np.int32)
    rows[:, 0], rows[:, -1] = CLS, SEP
    made = apply(Masking(), rows)
    taken = made["masked_lm_weights"].astype(bool)
    assert set(taken.sum(1).tolist()) == {18, 19}  # 18.9 on average.
    shown = np.take_along_axis(
        made["input_ids"], made["masked_lm_positions"].astype(np.int64), 1
    )[taken]
    total = shown.size
    others = len(CLASSES.replacements)
    masks = (shown == MASK).sum()
    # A replacement may be the token itself, once in `others`.
    same = (shown == FIRST_WORD).sum()
    changed = total - masks - same
    expected = np.array([0.8, 0.1 + 0.1 / others, 0.1 - 0.1 / others]) * total
    assert scipy.stats.chisquare([masks, same, changed], expected).pvalue > 1e-4
    seen = np.bincount(shown, minlength=len(TOKENS))
    banned = [PAD, UNK, CLS, SEP, 1, 6]
    assert (seen[banned] == 0).all()
    counts = seen[CLASSES.replacements[1:]]
    assert scipy.stats.chisquare(counts).pvalue > 1e-4


def test_positions_are_uniform_and_independent_of_each_other():
    rows = np.full((20_000, 22), FIRST_WORD, np.int32)
    rows[:, 0], rows[:, -1] = CLS, SEP
    made = apply(Masking(rate=0.1, max_predictions=2), rows)
    first, second = made["masked_lm_positions"].T
    both = np.concatenate([first, second])
    counts = np.bincount(both, minlength=22)[1:-1]
    assert scipy.stats.chisquare(counts).pvalue > 1e-4
    pairs = np.bincount(first * 22 + second, minlength=22 * 22)
    pairs = pairs.reshape(22, 22)[np.triu_indices(22, 1)]
    pairs = pairs[pairs > 0]
    assert len(pairs) == 20 * 19 // 2
    assert scipy.stats.chisquare(pairs).pvalue > 1e-4


@pytest.mark.parametrize("length", [8, 17, 32, 64, 128, 512])
@pytest.mark.parametrize("rate", [0.05, 0.15, 0.3])
def test_the_rate_holds_at_every_length(length, rate):
    """In full rows and in short ones; row by row to a whole number."""
    count = 200_000 // length
    rows = np.full((count, length), FIRST_WORD, np.int32)
    rows[:, 0], rows[:, -1] = CLS, SEP
    rows[::2, length // 2 :] = PAD
    maskable = CLASSES.maskable[rows].sum(1)
    masking = Masking(rate=rate)
    hidden = (apply(masking, rows)["masked_lm_weights"] > 0).sum(1)
    assert (np.abs(hidden - rate * maskable) < 1).all()
    for some in (rows[:, -1] == SEP, rows[:, -1] == PAD):
        share = hidden[some].sum() / maskable[some].sum()
        # Each row's number is rounded up or down by chance.
        spread = 0.5 * some.sum() ** 0.5 / maskable[some].sum()
        assert abs(share - rate) < 4 * spread + 1e-9


@pytest.mark.parametrize(
    "length, strategy, most",
    [
        (8, "token", 1),
        (32, "token", 5),
        (64, "token", 10),
        (128, "token", 19),
        (512, "token", 77),
        (8, "whole_word", 6),
        (32, "whole_word", 8),
        (128, "ngram", 22),
        (512, "span", 80),
    ],
)
def test_predictions_follow_from_rate_and_length(length, strategy, most):
    masking = Masking(strategy)
    assert masking.predictions(length) == most
    rows = rows_of(8, length)
    assert apply(masking, rows)["masked_lm_ids"].shape == (8, most)
    assert Masking(strategy, rate=1.0).predictions(length) == length - 2


def test_more_predictions_than_a_row_can_have_are_refused():
    assert Masking(max_predictions=62).predictions(64) == 62
    for most in (63, 1000):
        masking = Masking(max_predictions=most)
        with pytest.raises(UserError, match=f"{most}: rows of 64 tokens .* 62"):
            masking.predictions(64)
        with pytest.raises(UserError, match="the rate's own number is 10"):
            apply(masking, rows_of(2, 64))


def test_fewer_predictions_lower_the_rate():
    rows = np.full((500, 64), FIRST_WORD, np.int32)
    rows[:, 0], rows[:, -1] = CLS, SEP
    made = apply(Masking(max_predictions=4), rows)
    assert (made["masked_lm_weights"].sum(1) == 4).all()


def test_epochs_mask_independently():
    rows = np.full((20_000, 12), FIRST_WORD, np.int32)
    rows[:, 0], rows[:, -1] = CLS, SEP
    one = Masking(rate=0.1, max_predictions=1)
    first = apply(one, rows, epoch=0)["masked_lm_positions"][:, 0]
    second = apply(one, rows, epoch=1)["masked_lm_positions"][:, 0]
    table = np.bincount(first * 12 + second, minlength=144).reshape(12, 12)
    assert scipy.stats.chisquare(table[1:-1, 1:-1].ravel()).pvalue > 1e-4


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategy": "words"},
        {"rate": 0.0},
        {"rate": 1.5},
        {"max_predictions": 0},
        {"mask_share": 0.9, "random_share": 0.2},
        {"mask_share": -0.1},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        Masking(**wrong)


def test_a_vocabulary_without_special_tokens_is_refused():
    with pytest.raises(UserError, match=r"\[MASK\]"):
        TokenClasses.of(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"])


def test_numpy_numbers_become_plain_ones():
    masking = Masking(max_predictions=np.int64(9), rate=np.float32(0.25))
    assert masking == Masking(max_predictions=9, rate=0.25)
    assert json.dumps(dataclasses.asdict(masking))
    settings = BuildSettings(["a"], "v", "r", max_length=np.int64(32))
    assert type(settings.max_length) is int
