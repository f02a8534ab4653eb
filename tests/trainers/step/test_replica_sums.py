"""Sums over replicas, and what a training leaves in the process."""

import gc

import numpy as np
import pytest
import tensorflow as tf
from step_cases import make_strategy, run
from tensorflow.python.framework import ops

from trainers.step.replica_sums import sum_over_replicas


@pytest.mark.parametrize("replicas", [1, 3])
def test_every_replica_has_the_sum(replicas):
    strategy = make_strategy(replicas)

    def on_replica():
        replica = tf.distribute.get_replica_context()
        index = tf.cast(replica.replica_id_in_sync_group, tf.float32)
        return sum_over_replicas({"a": index + 1, "b": tf.fill([2], index)})

    sums = tf.function(lambda: strategy.run(on_replica), autograph=False)()
    for name, wanted in (("a", (0, 1, 3, 6)), ("b", (0, 0, 1, 3))):
        for value in strategy.experimental_local_results(sums[name]):
            np.testing.assert_array_equal(value, wanted[replicas])


@pytest.mark.parametrize(
    "options",
    [{}, pytest.param({"replicas": 2}, marks=pytest.mark.long)],
)
def test_a_training_leaves_nothing_in_the_process(options):
    """No graph, and so no weights and moments, outlives its model."""
    before = set(ops.gradient_registry.list())
    run(**options)
    gc.collect()
    assert set(ops.gradient_registry.list()) <= before
