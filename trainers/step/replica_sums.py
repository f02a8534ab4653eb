"""Sums over the replicas of all workers."""

import tensorflow as tf

from tfbert.fast_ops.custom_gradient import owned_by_graph


def sum_over_replicas(values):
    """The sum over replicas, in replica context, on every replica.

    The strategy's all-reduce has a custom gradient, with which TensorFlow
    would keep the graph of the step, and the weights, for ever.

    Args:
      values: nest of dense tensors, the same on each replica.
    """
    replica = tf.distribute.get_replica_context()
    return owned_by_graph(
        replica.all_reduce(tf.distribute.ReduceOp.SUM, values)
    )
