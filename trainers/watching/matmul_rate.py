"""How fast the device multiplies matrices: what a step can hope for at best.

The peak of a data sheet is for no program to reach, and a CPU has none; the
rate of large square products, in the precision used, is measured instead.
"""

import statistics
import time
from collections.abc import Callable

import tensorflow as tf

SMALLEST, LARGEST = 512, 8192
# Products that one call runs, so that starting the call does not count.
CHAIN = 4


def matmul_rate(
    dtype: str,
    device: str = "CPU:0",
    seconds: float = 0.5,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Measures the rate of matrix products on one device, in FLOP/s.

    Sizes are doubled while the time lasts, and the last one is repeated; of
    its calls the median counts: a short burst of the clock is no rate that a
    step could hold.

    Args:
      dtype: float32, bfloat16 or float16.
      device: name for tf.device.
      seconds: about how long it may take.
      clock: gives seconds; monotonic.

    Returns:
      operations a second; a product of two [n, n] counts 2 n^3.
    """
    start, rates, size = clock(), [], SMALLEST
    with tf.device(device):
        matrix = _matrix(size, dtype)
        while True:
            before = clock()
            _multiply(matrix).numpy()  # only a number comes back
            took = clock() - before
            rates.append(CHAIN * 2 * size**3 / max(took, 1e-9))
            left = seconds - (clock() - start)
            if left <= 0:
                return statistics.median(rates)
            # Twice the size takes eight times as long, and a call to warm up.
            if size < LARGEST and 2 * 8 * took < left:
                size, rates = 2 * size, []
                matrix = _matrix(size, dtype)


def _matrix(size: int, dtype: str) -> tf.Tensor:
    """[n, n] whose powers stay as they are; traces and warms up."""
    matrix = tf.cast(tf.fill([size, size], 1.0 / size), dtype)
    _multiply(matrix).numpy()
    return matrix


@tf.function(autograph=False)
def _multiply(matrix: tf.Tensor) -> tf.Tensor:
    """Multiplies [n, n] by itself CHAIN times, one product after another."""
    product = matrix
    for _ in range(CHAIN):
        product = tf.matmul(product, matrix)
    return tf.reduce_max(product)
