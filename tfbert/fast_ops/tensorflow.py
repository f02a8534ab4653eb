"""The kernels in TensorFlow's own ops.

Each function does what its namesake in `plain` says; here is why it is
quicker. Times are those of BERT-mini's shapes in bfloat16 on one CPU core.
"""

import math

import numpy as np
import tensorflow as tf

from tfbert.fast_ops import plain
from tfbert.fast_ops.custom_gradient import custom_gradient

# The smallest probability whose logarithm is taken: losses end at 85.2.
_TINY = 1e-37


def dropout(x, rate: float, seed):
    """One Philox word makes two decisions: half the random numbers.

    The algorithm is named, so that XLA draws the same masks.
    """
    drop, scale = plain.threshold(rate, x.dtype.name)
    size = tf.size(x)
    words = tf.random.stateless_uniform(
        [(size + 1) // 2],
        seed,
        minval=None,
        maxval=None,
        dtype=tf.int32,
        alg="philox",
    )
    halves = tf.reshape(tf.bitcast(words, tf.uint16), [-1])
    if x.shape.num_elements() is None or x.shape.num_elements() % 2:
        halves = halves[:size]
    keep = tf.cast(halves >= np.uint16(drop), x.dtype)
    return x * (tf.reshape(keep, tf.shape(x)) * tf.cast(scale, x.dtype))


def add_bias(x, bias):
    """The gradient of a 16-bit bias is a matrix product with ones.

    That of `tf.nn.bias_add` adds rows one by one in x's dtype: on CPUs a sum
    in bfloat16 stops growing at 256 summands. Products add up in float32 on
    every device and take half the time; `x + bias` would not be fused with
    the product before it.
    """
    x, bias = tf.convert_to_tensor(x), tf.convert_to_tensor(bias)
    return (_plus if x.dtype.size > 2 else _add_bias)(x, bias)


def _plus(x, bias):
    return tf.nn.bias_add(x, bias) if bias.shape.rank == 1 else x + bias


@custom_gradient
def _add_bias(x, bias):
    def gradient(upstream):
        rows = tf.reshape(upstream, [-1, tf.size(bias)])
        ones = tf.ones([1, tf.shape(rows)[0]], rows.dtype)
        return upstream, tf.reshape(tf.matmul(ones, rows), tf.shape(bias))

    return _plus(x, bias), gradient


def take_rows(table, indices):
    """The gradient is dense at once, and summed in float32 at least.

    That of `tf.gather` is IndexedSlices, which the sum with a dense gradient
    (the table is the kernel of the masked-LM head too) first turns the dense
    one into.
    """
    table = tf.convert_to_tensor(table)
    indices = tf.convert_to_tensor(indices)

    @custom_gradient
    def gather(table):
        def gradient(upstream):
            rows = tf.reshape(upstream, [-1, tf.shape(upstream)[-1]])
            if rows.dtype.size < 4:
                rows = tf.cast(rows, tf.float32)
            total = tf.math.unsorted_segment_sum(
                rows, tf.reshape(indices, [-1]), tf.shape(table)[0]
            )
            return tf.cast(total, table.dtype)

        return tf.gather(table, indices), gradient

    return gather(table)


def lay_apart(x, slots, home):
    """The gradient is a gather too: each row lies in one slot.

    That of `tf.gather` adds up rows one by one, and dense zeros to them for
    each group.
    """

    @custom_gradient
    def apart(x):
        def gradient(*upstream):
            return tf.gather(_stacked(upstream), home)

        last = tf.shape(x)[0] - 1
        parts = [tf.gather(x, tf.minimum(places, last)) for places in slots]
        return parts, gradient

    return apart(tf.convert_to_tensor(x))


def lay_together(parts, slots, home):
    """The gradient is a gather too; 0 where no row lies."""

    @custom_gradient
    def together(*parts):
        def gradient(upstream):
            zeros = tf.zeros([1, tf.shape(upstream)[1]], upstream.dtype)
            padded = tf.concat([upstream, zeros], 0)
            return [tf.gather(padded, places) for places in slots]

        return tf.gather(_stacked(parts), home), gradient

    return together(*parts)


def _stacked(parts):
    """[..., W] each -> [slots of all, W], and a row of zeros."""
    width = tf.shape(parts[0])[-1]
    flat = [tf.reshape(part, [-1, width]) for part in parts]
    return tf.concat([*flat, tf.zeros([1, width], parts[0].dtype)], 0)


def gelu(x):
    """The gradient is written out: fewer passes, and erf for erfc.

    tf.nn.gelu takes 34 ms forward and backward, 23 of them for erfc.
    """
    return _gelu(x)


@custom_gradient
def _gelu(x):
    wide = tf.cast(x, tf.float32)
    root = wide * math.sqrt(0.5)
    below = 0.5 * tf.math.erf(root) + 0.5  # Phi(x)

    def gradient(upstream):
        density = tf.exp(-tf.square(root)) * (1 / math.sqrt(2 * math.pi))
        slope = below + wide * density
        return tf.cast(tf.cast(upstream, tf.float32) * slope, x.dtype)

    return tf.cast(wide * below, x.dtype), gradient


def vocabulary_losses(hidden, table, bias, labels):
    """Never makes the gradient of the logits in float32.

    With p the probabilities, h the hidden states and g the gradients of the
    losses, row by row, the gradient of the logits is g (p - onehot). Scaling
    the rows of h by g instead of those of p - onehot leaves p as the only
    array of size [B P, V] beside the logits, both in the compute dtype: the
    softmax takes 7 ms where the cross-entropy op, which wants float32, takes
    63.

    The one-hot part is taken off p before anything is summed: in 16 bits the
    sum of p over rows is rounded by more than it differs from the number of
    the rows' labels. g is multiplied with in float32: most often it is one
    number, whose own rounding would shift all gradients alike.

    In bfloat16 a loss carries the rounding of one probability (0.002), a
    tenth of what the rounding of the logits brings.
    """
    dtype = hidden.dtype
    shape = tf.shape(labels)
    flat_labels = tf.reshape(tf.cast(labels, tf.int32), [-1])
    places = tf.stack([tf.range(tf.size(flat_labels)), flat_labels], axis=1)
    rows = tf.reshape(hidden, [-1, hidden.shape[-1]])

    @custom_gradient
    def losses_of(rows, table, bias):
        kernel = tf.cast(table, dtype)
        logits = tf.matmul(rows, kernel, transpose_b=True)
        logits = tf.nn.bias_add(logits, tf.cast(bias, dtype))
        if dtype == tf.float16:  # Its smallest probability is 6e-8.
            logits = tf.cast(logits, tf.float32)
        p = tf.nn.softmax(logits)  # [B P, V]
        own = tf.cast(tf.gather(p, flat_labels, batch_dims=1), tf.float32)

        def gradient(upstream, _):
            ones = tf.ones_like(flat_labels, dtype)
            q = tf.tensor_scatter_nd_sub(tf.cast(p, dtype), places, ones)

            def scaled(rows):
                wide = tf.cast(rows, tf.float32) * upstream[:, None]
                return tf.cast(wide, dtype)

            d_table = tf.matmul(q, scaled(rows), transpose_a=True)
            largest = tf.reduce_max(tf.abs(upstream))
            shares = tf.math.divide_no_nan(upstream, largest)
            d_bias = tf.matmul(tf.cast(shares, dtype)[None, :], q)[0]
            return (
                scaled(tf.matmul(q, kernel)),
                tf.cast(d_table, table.dtype),
                tf.cast(d_bias, bias.dtype) * tf.cast(largest, bias.dtype),
            )

        losses = -tf.math.log(tf.maximum(own, _TINY))
        answers = tf.argmax(p, axis=-1, output_type=tf.int32)
        return (losses, answers), gradient

    table, bias = tf.convert_to_tensor(table), tf.convert_to_tensor(bias)
    losses, answers = losses_of(rows, table, bias)
    return tf.reshape(losses, shape), tf.reshape(answers, shape)


recompute = tf.recompute_grad


def in_parts(function, rows, size):
    """A loop, of which one round is computed at a time.

    So memory is that of one part, whatever the number of rows.
    """
    count = tf.shape(next(iter(rows.values())))[0]

    def part(first):
        some = {k: value[first : first + size] for k, value in rows.items()}
        return function(some)

    first = part(0)
    shape = tf.TensorShape([None, *first.shape[1:]])
    found = tf.TensorArray(
        first.dtype,
        1,
        dynamic_size=True,
        infer_shape=False,
        element_shape=shape,
    )
    _, _, found = tf.while_loop(
        lambda number, start, found: start < count,
        lambda number, start, found: (
            number + 1,
            start + size,
            found.write(number, part(start)),
        ),
        (1, size, found.write(0, first)),
        parallel_iterations=1,
    )
    return tf.ensure_shape(found.concat(), shape)


def densify(gradient):
    """IndexedSlices are made dense: rows of one index are summed."""
    return tf.convert_to_tensor(gradient)


def adam_step(variable, first, second, gradient, rate, options):
    """One op in place of ten passes over the variable."""
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=first.handle,
        v=second.handle,
        # The bias correction is in the rate: no powers here.
        beta1_power=tf.zeros([], variable.dtype),
        beta2_power=tf.zeros([], variable.dtype),
        lr=rate,
        beta1=tf.constant(options["beta_1"], variable.dtype),
        beta2=tf.constant(options["beta_2"], variable.dtype),
        epsilon=tf.constant(options["epsilon"], variable.dtype),
        grad=gradient,
    )
