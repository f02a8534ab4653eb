"""TensorFlow's kernels against their definitions in keras.ops."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbert.fast_ops import plain
from tfbert.fast_ops import tensorflow as fast


def draw(*shape, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, scale, shape).astype(np.float32)


def value_and_gradients(function, arguments, dtype=None):
    """Returns a value, weighted unevenly, and the arguments' gradients."""
    tensors = [tf.constant(a) for a in arguments]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        inputs = [tf.cast(t, dtype) if dtype else t for t in tensors]
        value = tf.cast(function(*inputs), tf.float32)
        weights = tf.constant(draw(*value.shape, seed=9))
        total = tf.reduce_sum(value * weights)
    gradients = tape.gradient(total, tensors)
    return [value, *map(tf.convert_to_tensor, gradients)]


def assert_equal(first, second, arguments, dtypes=(None, None), **tolerance):
    for graph in (False, True):
        pair = []
        for function, dtype in zip((first, second), dtypes, strict=True):

            def run(function=function, dtype=dtype):
                return value_and_gradients(function, arguments, dtype)

            pair.append((tf.function(run) if graph else run)())
        for one, two in zip(*pair, strict=True):
            np.testing.assert_allclose(one, two, **tolerance)


def test_gelu():
    x = np.concatenate([np.linspace(-9, 9, 301), [0.0]]).astype(np.float32)
    assert_equal(fast.gelu, plain.gelu, [x], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_gelu_is_exact_to_a_rounding_of_its_type(dtype):
    x = tf.constant(np.linspace(-6, 6, 301), dtype)
    exact = plain.gelu(tf.cast(x, tf.float32))
    got = fast.gelu(x)
    assert got.dtype == dtype
    unit = {"bfloat16": 2**-8, "float16": 2**-11}[dtype]
    np.testing.assert_allclose(
        tf.cast(got, tf.float32), exact, rtol=unit, atol=3e-6
    )


@pytest.mark.parametrize("shape", [(4,), (2, 3), (0,)])
def test_take_rows(shape):
    indices = np.random.default_rng(1).integers(0, 5, shape)  # With repeats.
    assert_equal(
        lambda table: fast.take_rows(table, indices),
        lambda table: plain.take_rows(table, indices),
        [draw(5, 3)],
        rtol=1e-6,
    )


LABELS = np.array([[3, 3, 0], [12, 7, 3]], np.int32)


def test_vocabulary_losses():
    assert_equal(
        lambda *a: fast.vocabulary_losses(*a, LABELS)[0],
        lambda *a: plain.vocabulary_losses(*a, LABELS)[0],
        [draw(2, 3, 8), draw(13, 8, seed=1), draw(13, seed=2)],
        rtol=2e-5,
        atol=2e-6,
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_vocabulary_losses_in_half_precision(dtype):
    # The table and the bias stay float32; only the hidden states are rounded.
    def half(hidden, table, bias):
        return fast.vocabulary_losses(
            tf.cast(hidden, dtype), table, bias, LABELS
        )[0]

    assert_equal(
        half,
        lambda *a: plain.vocabulary_losses(*a, LABELS)[0],
        [draw(2, 3, 8), draw(13, 8, seed=1), draw(13, seed=2)],
        atol={"bfloat16": 0.06, "float16": 0.008}[dtype],
    )


def test_vocabulary_losses_of_impossible_labels_are_finite():
    hidden = tf.ones([1, 1, 1])
    table = tf.constant([[200.0], [0.0]])
    bias = tf.zeros([2])
    losses, answers = fast.vocabulary_losses(hidden, table, bias, [[1]])
    assert 85.0 < float(losses[0, 0]) < 85.3
    assert int(answers[0, 0]) == 0


def test_vocabulary_answers():
    arguments = draw(2, 3, 8), draw(13, 8, seed=1), draw(13, seed=2)
    arguments = [tf.constant(a) for a in arguments]
    fast_answers = fast.vocabulary_losses(*arguments, LABELS)[1]
    plain_answers = plain.vocabulary_losses(*arguments, LABELS)[1]
    assert fast_answers.dtype == plain_answers.dtype == tf.int32
    np.testing.assert_array_equal(fast_answers, plain_answers)


def test_adam_step():
    options = {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-6}
    results = []
    for kernels in (fast, plain):
        w, m, v = (keras.Variable(draw(4, 3, seed=s)) for s in range(3))
        v.assign(abs(v))
        rate = tf.constant(0.1)
        for step in range(3):
            gradient = tf.constant(draw(4, 3, seed=10 + step))
            kernels.adam_step(w, m, v, gradient, rate, options)
        results.append([x.numpy() for x in (w, m, v)])
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_densify():
    rows = tf.constant([[1.0], [2.0], [4.0]])
    sparse = tf.IndexedSlices(rows, tf.constant([0, 2, 0]), tf.constant([3, 1]))
    np.testing.assert_array_equal(fast.densify(sparse), [[5.0], [0.0], [2.0]])
    np.testing.assert_array_equal(plain.densify(rows), rows)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_vocabulary_losses_in_half_precision_of_a_whole_vocabulary(dtype):
    """V = 30,522; labels as frequent as words are."""
    rows, width, size = 256, 8, 30522
    labels = np.random.default_rng(3).zipf(1.3, (1, rows)) % size
    arguments = [
        tf.constant(draw(1, rows, width)),
        tf.constant(draw(size, width, seed=1, scale=0.3)),
        tf.constant(draw(size, seed=2, scale=0.1)),
    ]
    results = []
    for policy in (dtype, "float32"):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            hidden = tf.cast(arguments[0], policy)
            losses, _ = fast.vocabulary_losses(hidden, *arguments[1:], labels)
            loss = tf.reduce_mean(losses)
        results.append([loss, *tape.gradient(loss, arguments)])
    half, exact = results
    assert abs(float(half[0] / exact[0]) - 1) < 1e-3
    for got, wanted in zip(half[1:], exact[1:], strict=True):
        error = tf.norm(tf.cast(got, tf.float32) - wanted) / tf.norm(wanted)
        assert float(error) < {"bfloat16": 0.01, "float16": 0.002}[dtype]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_add_bias(dtype):
    assert_equal(
        fast.add_bias,
        plain.add_bias,
        [draw(3, 5, 7), draw(7, seed=1)],
        dtypes=(dtype, dtype),
        atol={"float32": 1e-6, "bfloat16": 0.08, "float16": 0.01}[dtype],
    )


def test_rows_apart_and_together():
    # Five rows in groups of [2, 2] and [2] slots, of which one is empty.
    slots = [tf.constant([[3, 1], [0, 5]]), tf.constant([4, 2])]
    home = tf.constant([2, 1, 5, 0, 4])
    x = draw(5, 3)

    def apart(kernels):
        def run(x):
            parts = kernels.lay_apart(x, slots, home)
            real = [
                tf.where((places < 5)[..., None], part, 0.0)
                for places, part in zip(slots, parts, strict=True)
            ]
            return tf.concat([tf.reshape(part, [-1, 3]) for part in real], 0)

        return run

    def together(kernels):
        return lambda *parts: kernels.lay_together(list(parts), slots, home)

    assert_equal(apart(fast), apart(plain), [x])
    assert_equal(together(fast), together(plain), [draw(2, 2, 3), draw(2, 3)])


@pytest.mark.parametrize("size", [1, 3, 7, 9])
def test_in_parts(size):
    rows = {"a": draw(7, 2), "b": draw(7, 2, seed=1)}
    seen = []

    def function(some):
        seen.append(len(some["a"]))
        return tf.matmul(some["a"] * some["b"], tf.ones([2, 3]))

    for kernels in (fast, plain):
        found = kernels.in_parts(function, rows, size)
        np.testing.assert_allclose(found, function(rows), rtol=1e-6)
        *parts, _ = seen
        assert max(parts) == min(size, 7) and sum(parts) == 7
        seen.clear()
