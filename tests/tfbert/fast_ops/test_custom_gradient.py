"""Graphs with our gradients can be freed, and do not lose them before."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import ops

from tfbert.fast_ops import tensorflow as fast
from tfbert.fast_ops.custom_gradient import custom_gradient

# In float16 the bias has a gradient of ours too.
HALF = np.ones([3], np.float16)
CASES = {
    "gelu": lambda x: fast.gelu(x),
    "rows": lambda x: fast.take_rows(x, [1, 0, 1]),
    "bias": lambda x: fast.add_bias(tf.cast(x, tf.float16), HALF),
    "losses": lambda x: fast.vocabulary_losses(
        x[None], tf.ones([4, 3]), tf.zeros([4]), tf.zeros([1, 2], tf.int32)
    )[0],
}


@custom_gradient
def cube(x):
    return x**3, lambda upstream: upstream * 3 * x**2


@pytest.mark.parametrize("case", CASES)
def test_the_graph_and_its_gradients_go_together(case):
    before = set(ops.gradient_registry.list())
    variable = tf.Variable([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]])

    @tf.function(autograph=False)
    def function():
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(tf.cast(CASES[case](variable), tf.float32))
        return tape.gradient(value, variable)

    assert np.isfinite(tf.convert_to_tensor(function())).all()
    graph = weakref.ref(function.get_concrete_function().graph)
    assert set(ops.gradient_registry.list()) > before
    del function
    gc.collect()
    assert graph() is None
    assert set(ops.gradient_registry.list()) <= before


def test_a_gradient_that_is_taken_later_through_a_loop():
    @tf.function(autograph=False)
    def looped(x):
        def body(i, x):
            return i + 1, cube(x)

        return tf.while_loop(lambda i, _: i < 2, body, (0, x))[1]

    x = tf.constant(1.5)
    looped(x)
    gc.collect()
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = looped(x)
    np.testing.assert_allclose(tape.gradient(y, x), 9 * 1.5**8, rtol=1e-5)


def test_in_a_branch_of_a_tensor_from_outside():
    @tf.function(autograph=False)
    def either(x):
        return tf.cond(x > 0, lambda: cube(x), lambda: x)

    x = tf.constant(1.5)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = either(x)
    np.testing.assert_allclose(tape.gradient(y, x), 3 * 1.5**2)


def test_without_a_graph():
    x = tf.constant(2.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = cube(x)
    assert tape.gradient(y, x) == 12.0
