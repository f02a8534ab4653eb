"""The options that all datasets here have."""

import tensorflow as tf


def with_options(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset without tf.data's autotuner, and never cut by file.

    Nothing here is left to the autotuner: parallel calls and prefetched
    batches are numbers. Its thread sleeps for up to a minute at a time, and
    whoever drops an iterator waits for it to wake up: `fit` and `evaluate`
    would return that much later.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    # Workers read their own slice; see tfrecords/keyed_order.py.
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.OFF
    )
    return dataset.with_options(options)
