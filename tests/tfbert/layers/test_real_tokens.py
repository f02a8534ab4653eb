"""Real tokens laid end to end, and their rows in groups, for attention."""

import numpy as np
import pytest
import tensorflow as tf

from tfbert.layers.real_tokens import RealTokens, Sizes, group_lengths

# Rows of one length, of all, of one token, of none; one row.
LENGTHS = {
    "all": [3, 70, 32, 33, 1, 64, 65, 2],
    "short": [5, 5, 5],
    "one": [70],
    "none": [4, 0, 70, 0],
}


def mask_of(lengths, width=70):
    return (np.arange(width) < np.array(lengths)[:, None]).astype("int32")


@pytest.fixture(params=LENGTHS, name="lengths")
def lengths_of(request):
    return LENGTHS[request.param]


def test_lengths_of_groups():
    assert group_lengths(20) == [20]
    assert group_lengths(32) == [32]
    assert group_lengths(40) == [32, 40]
    assert group_lengths(512) == [32, 64, 128, 256, 512]


def test_each_token_lies_once_in_a_row_of_its_own_length(lengths):
    mask = mask_of(lengths)
    real = RealTokens(mask, 70)
    total = int(mask.sum())
    np.testing.assert_array_equal(real.places, np.flatnonzero(mask))
    rows, columns = np.nonzero(mask)
    np.testing.assert_array_equal(real.position_ids, columns)
    seen = []
    for width, slots in zip(group_lengths(70), real.tokens.slots, strict=True):
        assert slots.shape[1] == width
        for row in slots.numpy():
            own = row[row < total]
            # Of one row, from its first token to its last, and no other.
            assert len(set(rows[own])) <= 1
            np.testing.assert_array_equal(columns[own], np.arange(len(own)))
            assert (row[len(own) :] == total).all()
            assert width == 32 or len(own) > width // 2 or width == 70
            seen.extend(own)
    assert sorted(seen) == list(range(total))
    members = np.concatenate(real.rows.slots)
    np.testing.assert_array_equal(np.sort(members), np.arange(len(lengths)))


def test_groups_give_back_what_they_took(lengths):
    real = RealTokens(mask_of(lengths), 70)
    total = sum(lengths)
    for groups, count in ((real.tokens, total), (real.rows, len(lengths))):
        x = np.random.default_rng(0).normal(size=(count, 3)).astype("float32")
        parts = groups.apart(x)
        for part, slots in zip(parts, groups.slots, strict=True):
            assert part.shape == (*slots.shape, 3)
        np.testing.assert_array_equal(groups.together(parts), x)


@pytest.mark.parametrize("more", [0, 1, 40])
def test_fixed_sizes_hold_the_same_and_nothing_more(lengths, more):
    mask = mask_of(lengths)
    exact = RealTokens(mask, 70)
    total = sum(lengths)
    members = [len(rows) for rows in exact.rows.slots]
    sizes = Sizes(total + more, tuple(n + more for n in members))
    real = RealTokens(mask, 70, sizes)
    assert real.places.shape == (total + more,)
    assert [len(rows) for rows in real.rows.slots] == list(sizes.rows)
    x = np.random.default_rng(0).normal(size=(1, total + more, 3))
    x = x.astype("float32")
    parts = real.tokens.apart(x[0])
    wanted = exact.tokens.apart(x[0, :total])
    for part, exactly in zip(parts, wanted, strict=True):
        padding = part.shape[0] - exactly.shape[0]
        assert padding == more
    back = real.tokens.together(parts)
    np.testing.assert_array_equal(back[:total], x[0, :total])
    assert not back.numpy()[total:].any()
    rows = real.in_rows(x)
    np.testing.assert_array_equal(rows, exact.in_rows(x[:, :total]))
    values = np.arange(1, mask.size + 1).reshape(mask.shape)
    found = real.of(values)[0]
    np.testing.assert_array_equal(found[:total], exact.of(values)[0])
    rows = np.random.default_rng(1).normal(size=(len(lengths), 3))
    back = real.rows.together(real.rows.apart(rows))
    np.testing.assert_array_equal(back, rows)


def test_rows_have_their_tokens_and_zeros(lengths):
    mask = mask_of(lengths)
    real = RealTokens(tf.constant(mask), 70)
    values = np.arange(1, mask.size + 1, dtype="int32").reshape(mask.shape)
    flat = real.of(values)
    assert flat.shape == (1, sum(lengths))
    back = real.in_rows(tf.cast(flat, "float32")[..., None])
    np.testing.assert_array_equal(back[..., 0], values * mask)
    found = tf.gather(flat[0], real.at(np.zeros((len(lengths), 1), int))[0])
    there = np.array(lengths) > 0
    np.testing.assert_array_equal(found[there], values[there, 0])
