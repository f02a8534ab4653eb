"""The kernels in keras.ops, for every backend: what each one means."""

import math

import keras
from keras import ops

# Two decisions are made from one 32-bit random word.
RESOLUTION = 1 << 16


def threshold(rate: float, dtype: str = "float32") -> tuple[int, float]:
    """Returns how a type drops values and scales the others.

    The scale is what the type can hold, and the rate follows it: in bfloat16
    a rate of 0.1 would scale by 1.1094 for 1.1111 and lose 0.15 % of x. There
    it is 0.0986.

    Returns:
      (how many of the 65,536 values of a half word mean "drop", the scale)
    """
    drop = min(round(rate * RESOLUTION), RESOLUTION - 1)
    scale = RESOLUTION / (RESOLUTION - drop)
    bits = {"bfloat16": 7, "float16": 10}.get(str(dtype))
    if bits is None or not drop:
        return drop, scale
    unit = 2.0 ** (math.floor(math.log2(scale)) - bits)
    scale = max(round(scale / unit), 2**bits + 1) * unit
    return min(round(RESOLUTION * (1 - 1 / scale)), RESOLUTION - 1), scale


class _GivenSeed(keras.random.SeedGenerator):
    """Hands keras.random a seed that was computed: it keeps no state."""

    def __init__(self, seed):
        self._seed = seed

    def next(self, ordered=True):
        return self._seed


def dropout(x, rate: float, seed):
    """Zeroes each value with probability `rate`, scales the others.

    Args:
      x: floats of any shape.
      rate: at least 0 and below 1, rounded to 1 / 65,536, and to what x's
        dtype can scale by.
      seed: int32 [2]; the same seed draws the same mask. Backends draw
        different masks from one seed.

    Returns:
      x's shape and dtype; the expectation is x to 1 / 65,536, because the
      scale is that of the rounded rate.
    """
    drop, scale = threshold(rate, keras.backend.standardize_dtype(x.dtype))
    seed = ops.cast(seed, keras.src.backend.random_seed_dtype())
    draws = keras.random.randint(
        ops.shape(x), 0, RESOLUTION, dtype="int32", seed=_GivenSeed(seed)
    )
    keep = ops.cast(ops.greater_equal(draws, drop), x.dtype)
    return ops.multiply(x, ops.multiply(keep, scale))


def add_bias(x, bias):
    """Returns x + bias, whose axes are the last of x: [B, S, H] and [S, H].

    The gradient of bias is exact.

    Exact as a sum over all rows of x that is rounded once, to bias's dtype.
    """
    return x + bias


def take_rows(table, indices):
    """Returns table[indices]: [R, H] and int32 [...] give [..., H]."""
    return ops.take(table, indices, axis=0)


def vocabulary_losses(hidden, table, bias, labels):
    """Returns -log softmax(hidden table^T + bias)[label], and the answers.

    Args:
      hidden: [B, P, H]; its dtype is the one that is computed in.
      table: float32 [V, H].
      bias: float32 [V].
      labels: integers [B, P].

    Returns:
      The losses, float32 [B, P], and the most probable ids, int32 [B, P],
      which have no gradient.
    """
    shape = ops.shape(labels)
    rows = ops.reshape(hidden, (-1, ops.shape(hidden)[-1]))  # [B P, H]
    kernel = ops.cast(table, rows.dtype)
    logits = ops.matmul(rows, ops.transpose(kernel))
    logits = add_bias(logits, ops.cast(bias, rows.dtype))
    losses = ops.sparse_categorical_crossentropy(
        ops.reshape(labels, (-1,)),
        ops.cast(logits, "float32"),
        from_logits=True,
    )
    answers = ops.cast(ops.argmax(logits, axis=-1), "int32")
    return ops.reshape(losses, shape), ops.reshape(answers, shape)


def lay_apart(x, slots, home):
    """Returns the rows of x that lie in the slots of each group.

    Args:
      x: [R, W].
      slots: of each group the rows that lie there, int32 [...]; each row lies
        in one slot of one group, and R stands where none does: what comes
        there is some row, whose gradient counts for nothing.
      home: for each row its place among the slots of all groups, int32 [R];
        their number for a row that lies in none.

    Returns:
      of each group [..., W].
    """
    last = ops.shape(x)[0] - 1
    parts = []
    for places in slots:
        real = ops.cast(places <= last, x.dtype)[..., None]
        rows = ops.take(x, ops.minimum(places, last), axis=0)
        parts.append(rows * real + ops.stop_gradient(rows * (1 - real)))
    return parts


def lay_together(parts, slots, home):
    """Returns [R, W] of each group's [..., W]: `lay_apart` the other way.

    What lies in no slot is 0.
    """
    width = ops.shape(parts[0])[-1]
    flat = [ops.reshape(part, (-1, width)) for part in parts]
    nothing = ops.zeros((1, width), parts[0].dtype)
    return ops.take(ops.concatenate([*flat, nothing]), home, axis=0)


def densify(gradient):
    """Returns a gradient as a dense tensor, whatever form it came in."""
    return ops.convert_to_tensor(gradient)


def gelu(x):
    """Returns x Phi(x), Phi the normal distribution's function."""
    return ops.gelu(x, approximate=False)


def recompute(function):
    """Returns `function`, with its gradient from its inputs alone.

    What is inside is computed again in the backward pass and not kept.

    Args:
      function: tensors -> tensor, the same each time; it may use variables.
    """
    return keras.remat(function)


def in_parts(function, rows, size):
    """Returns `function` of rows, of which few are computed at once.

    Args:
      function: dict of [n, ...] -> [n, W], of each row by itself.
      rows: dict of [R, ...].
      size: the most rows of a part; int scalar.
    """
    count = ops.shape(next(iter(rows.values())))[0]
    parts = [
        {name: value[first : first + size] for name, value in rows.items()}
        for first in range(0, count, int(size))
    ]
    return ops.concatenate([function(part) for part in parts], axis=0)


def adam_step(variable, first, second, gradient, rate, options):
    """Adam's update of one variable and its moments, in place.

    m = beta_1 m + (1 - beta_1) g;  v = beta_2 v + (1 - beta_2) g^2;
    w = w - rate m / (sqrt(v) + epsilon).

    Args:
      variable: w. first: m. second: v. All of one shape.
      gradient: g, dense.
      rate: scalar of the variable's dtype, any bias correction included.
      options: beta_1, beta_2, epsilon as floats by name.
    """
    beta_1, beta_2 = options["beta_1"], options["beta_2"]
    first.assign(first + (gradient - first) * (1.0 - beta_1))
    second.assign(second + (ops.square(gradient) - second) * (1.0 - beta_2))
    step = rate * first / (ops.sqrt(second) + options["epsilon"])
    variable.assign(variable - step)
