"""Losses of vectors and their gradients against loops over single examples."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfbert.tasks import vector_losses


def draw(rows, texts, width=5, seed=0):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(rows, texts, width))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def in_batch(vectors, keys, real, temperature):
    """Example by example, candidate by candidate."""
    count, texts, _ = vectors.shape
    losses = []
    for i in range(count):
        anchor, positive = keys[i, 0], keys[i, 1]
        right = vectors[i, 0] @ vectors[i, 1] / temperature
        total = math.exp(right)
        for j in range(count):
            for t in range(1, texts):
                if (j, t) == (i, 1) or not real[j]:
                    continue
                if keys[j, t] in (anchor, positive):
                    continue
                if t == 1 and keys[j, 0] == anchor:
                    continue
                total += math.exp(vectors[i, 0] @ vectors[j, t] / temperature)
        losses.append(real[i] * (math.log(total) - right))
    return np.array(losses)


def cosent(vectors, scores, real, temperature):
    total = 1.0
    cosines = [a @ b for a, b in vectors]
    for i, one in enumerate(scores):
        for j, two in enumerate(scores):
            if one > two and real[i] and real[j]:
                total += math.exp((cosines[j] - cosines[i]) / temperature)
    return np.log(total) * np.asarray(real, float)


def cosine(vectors, scores, real):
    cosines = np.array([a @ b for a, b in vectors])
    return (cosines - scores) ** 2 * real


def check(ours, brute, vectors):
    """Values, and the gradient of their sum by differences."""
    given = tf.constant(vectors, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(given)
        losses = ours(given)
        total = tf.reduce_sum(losses)
    np.testing.assert_allclose(losses, brute(vectors), rtol=1e-4, atol=1e-5)
    found = tape.gradient(total, given).numpy()
    wanted, step = np.zeros_like(vectors), 1e-5
    for place in np.ndindex(vectors.shape):
        moved = [vectors.copy(), vectors.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        up, down = (brute(some).sum() for some in moved)
        wanted[place] = (up - down) / (2 * step)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
    assert np.abs(wanted).max() > 0.01


@pytest.mark.parametrize(
    ("rows", "texts"), [(1, 3), (2, 2), (2, 3), (7, 2), (7, 3)]
)
def test_in_batch(rows, texts):
    keys = np.arange(rows * texts).reshape(rows, texts)
    real = np.ones(rows, np.float32)
    if rows == 7:
        keys[1, 1] = keys[0, 1]  # Two have one positive,
        keys[2, 1] = keys[3, 0]  # one's positive is another's anchor,
        keys[5, 0] = keys[4, 0]  # two have one anchor,
        keys[6, texts - 1] = keys[4, 1]  # a negative is another's positive,
        real[3] = 0  # and one only fills the batch.
    check(
        lambda v: vector_losses.in_batch(v, tf.constant(keys), real, 0.5),
        lambda v: in_batch(v, keys, real, 0.5),
        draw(rows, texts),
    )


def test_equal_texts_are_no_negatives():
    vectors = tf.constant(draw(3, 2), tf.float32)
    keys = tf.constant([[0, 9], [1, 9], [2, 9]])
    losses = vector_losses.in_batch(vectors, keys, tf.ones(3), 0.5)
    np.testing.assert_array_equal(losses, [0, 0, 0])
    keys += [[0, 0], [0, 1], [0, 2]]
    other = vector_losses.in_batch(vectors, keys, tf.ones(3), 0.5)
    assert (other.numpy() > 0).all()


@pytest.mark.parametrize("rows", [2, 5])
def test_scored_pairs(rows):
    scores = np.round(np.linspace(0.9, 0.1, rows), 2).astype(np.float32)
    real = np.ones(rows, np.float32)
    if rows == 5:
        scores[1], real[3] = scores[2], 0
    vectors = draw(rows, 2)
    check(
        lambda v: vector_losses.cosine(v, scores, real),
        lambda v: cosine(v, scores, real),
        vectors,
    )
    check(
        lambda v: vector_losses.cosent(v, scores, real, 0.3),
        lambda v: cosent(v, scores, real, 0.3),
        vectors,
    )


def test_vectors_of_zeros_and_parts_of_vectors():
    whole = vector_losses.normalised(tf.constant([[3.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(whole, [[0.6, 0.8], [0, 0]], rtol=1e-6)
    parts = vector_losses.at_dimensions(whole[:1], [1])
    np.testing.assert_allclose(parts[0], [[0.6, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(parts[1], [[1.0]], rtol=1e-6)
