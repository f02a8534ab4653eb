"""The kernels in TensorFlow's own ops."""

import numpy as np
import tensorflow as tf

from tfbert.kernels import plain


def dropout(x, rate: float, seed):
    """See plain.dropout."""
    drop = plain.threshold(rate)
    size = tf.size(x)
    words = tf.random.stateless_uniform(
        [(size + 1) // 2], seed, minval=None, maxval=None, dtype=tf.int32
    )
    halves = tf.reshape(tf.bitcast(words, tf.uint16), [-1])[:size]
    keep = tf.cast(halves >= np.uint16(drop), x.dtype)
    scale = plain.RESOLUTION / (plain.RESOLUTION - drop)
    return x * (tf.reshape(keep, tf.shape(x)) * tf.cast(scale, x.dtype))


def take_rows(table, indices):
    """See plain.take_rows."""
    return tf.gather(tf.convert_to_tensor(table), indices)


def dense(gradient):
    """See plain.dense; rows of one index in IndexedSlices are summed."""
    return tf.convert_to_tensor(gradient)
