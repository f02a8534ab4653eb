"""The update, beside what Keras' `apply` makes of the same gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbert.optimizers import LAMB, AdamW, WarmupLinearDecay
from trainers.step.update import Update, scaled


def layers():
    made = [keras.layers.Dense(size, name=f"d{size}") for size in (3, 5, 2)]
    for layer, width in zip(made, (4, 3, 5), strict=True):
        layer.build((None, width))
    return [v for layer in made for v in layer.trainable_variables]


def gradients(variables, seed):
    rng = np.random.default_rng(seed)
    return [
        tf.constant(rng.normal(0, 1, v.shape), tf.float32) for v in variables
    ]


def compiled(optimizer, variables):
    update = Update(optimizer, lambda variable: 1.0)
    strategy = tf.distribute.get_strategy()

    @tf.function(autograph=False)
    def function(gradients):
        update(variables, strategy, gradients, tf.constant(True))

    return function


@pytest.mark.parametrize(
    "make, powers",
    [(AdamW, ["Expm1"]), (LAMB, ["Pow"]), (keras.optimizers.Adam, [])],
)
def test_what_all_variables_share_is_computed_once(make, powers):
    """And the update is that of `apply`, where each variable does it all."""
    keras.utils.set_random_seed(1)
    ours = layers()
    keras.utils.set_random_seed(1)
    theirs = layers()
    first, second = (make(WarmupLinearDecay(0.1, 3, 12)) for _ in range(2))
    first.build(ours)
    second.build(theirs)
    function = compiled(first, ours)
    for step in range(4):
        function(gradients(ours, step))
        second.apply(gradients(theirs, step))
    assert int(first.iterations) == int(second.iterations) == 4
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)

    graph = function.get_concrete_function(gradients(ours, 0)).graph
    bodies = graph.as_graph_def().library.function
    operations = [node.op for body in bodies for node in body.node_def]
    for power in powers:
        assert operations.count(power) == 2  # Of beta_1 and of beta_2.


def test_a_gradient_that_is_not_finite_moves_nothing():
    variables = layers()
    optimizer = AdamW(0.1)
    optimizer.build(variables)
    before = [v.numpy() for v in variables]
    Update(optimizer, lambda variable: 1.0)(
        variables,
        tf.distribute.get_strategy(),
        gradients(variables, 0),
        tf.constant(False),
    )
    for value, variable in zip(before, variables, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())
    assert int(optimizer.iterations) == 1


def test_gradients_that_are_not_clipped_are_not_multiplied():
    function = tf.function(scaled, autograph=False)
    given = gradients(layers(), 0)
    for factor in (1.0, 0.25):
        found = function(given, tf.constant(factor))
        for one, other in zip(found, given, strict=True):
            np.testing.assert_array_equal(one, factor * other)
    graph = function.get_concrete_function(given, tf.constant(1.0)).graph
    nodes = graph.as_graph_def().node
    assert "Mul" not in {node.op for node in nodes}
    assert sum(node.op in ("If", "StatelessIf") for node in nodes) == 1
