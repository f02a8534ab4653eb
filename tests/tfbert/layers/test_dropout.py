import numpy as np
import pytest
import tensorflow as tf

from tfbert import fast_ops
from tfbert.fast_ops import plain
from tfbert.layers.dropout import Dropout

SEED = np.array([11, 12], np.int32)
ONES = np.ones((400, 501), np.float32)


def draw(salt="a", seed=SEED, rate=0.1, x=ONES):
    layer = Dropout(rate, salt, dtype=x.dtype)
    return layer(x, training=True, dropout_seed=seed).numpy()


def test_same_seed_and_layer_give_the_same_mask():
    np.testing.assert_array_equal(draw(), draw())


@pytest.mark.parametrize(
    "other", [{"salt": "b"}, {"seed": SEED + [0, 1]}, {"seed": SEED + [1, 0]}]
)
def test_other_layers_steps_and_replicas_draw_independent_masks(other):
    first, second = draw() > 0, draw(**other) > 0
    # Independent masks agree with probability 0.9^2 + 0.1^2.
    assert abs(np.mean(first == second) - 0.82) < 0.005


@pytest.mark.parametrize("kernel", [fast_ops.dropout, plain.dropout])
@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_rate_and_expectation(kernel, rate):
    values = np.asarray(kernel(tf.constant(ONES), rate, tf.constant(SEED)))
    deviation = np.sqrt(rate * (1 - rate) / ONES.size)
    assert abs(np.mean(values == 0) - rate) < 5 * deviation
    kept = np.unique(values[values != 0])
    drop, _ = plain.threshold(rate)
    assert kept.size == 1
    # Scaled by what is really kept: the expectation is exact.
    np.testing.assert_allclose(kept[0] * (1 - drop / 65536), 1, rtol=1e-6)
    # Neighbours share a random word; they must not share a decision.
    zero = values == 0
    pairs = np.corrcoef(zero[:, :-1].ravel(), zero[:, 1:].ravel())[0, 1]
    assert abs(pairs) < 5 / np.sqrt(ONES.size)


@pytest.mark.parametrize("kernel", [fast_ops.dropout, plain.dropout])
def test_gradient_has_the_mask_of_the_value(kernel):
    x = tf.constant(ONES)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = kernel(x, 0.1, tf.constant(SEED))
        total = tf.reduce_sum(y * y)
    # y = x m with x = 1, so d(y^2)/dx = 2 x m^2 = 2 y^2.
    np.testing.assert_allclose(tape.gradient(total, x), 2 * y * y, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_keeps_the_dtype(dtype):
    y = draw(x=tf.cast(ONES, dtype).numpy())
    assert y.dtype == dtype
    assert abs(np.mean(y == 0) - 0.1) < 0.005


def test_inference_and_rate_zero_change_nothing():
    np.testing.assert_array_equal(Dropout(0.5, "a")(ONES), ONES)
    np.testing.assert_array_equal(Dropout(0.0, "a")(ONES, training=True), ONES)


def test_training_without_a_seed_is_refused():
    with pytest.raises(ValueError, match="pass dropout_seed="):
        Dropout(0.1, "a")(ONES, training=True)


def test_config_round_trip():
    layer = Dropout(0.3, "block_0/attention")
    copy = Dropout.from_config(layer.get_config())
    assert (copy.rate, copy.salt) == (0.3, "block_0/attention")


def test_the_smallest_and_oddest_shapes():
    for shape in [(1,), (3, 5), (0, 4)]:
        assert draw(x=np.ones(shape, np.float32)).shape == shape


@pytest.mark.parametrize("kernel", [fast_ops.dropout, plain.dropout])
@pytest.mark.parametrize("rate", [0.001, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_the_expectation_is_exact_in_every_type(kernel, rate, dtype):
    """What is kept is scaled by what the type can hold, and kept so often."""
    drop, scale = plain.threshold(rate, dtype)
    x = tf.ones([8], dtype)
    values = np.asarray(tf.cast(kernel(x, rate, tf.constant(SEED)), "float64"))
    assert set(values) <= {0.0, np.float64(np.float32(scale))}
    assert abs((1 - drop / 65536) * scale - 1) < 2e-5 / (1 - rate)
    step = {"bfloat16": 2**-7, "float16": 2**-10, "float32": 1e-4}[dtype]
    assert abs(drop / 65536 - rate) < step
