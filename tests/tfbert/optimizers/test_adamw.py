import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbert.config import BertConfig
from tfbert.optimizers import AdamW, WarmupLinearDecay
from tfbert.optimizers.decay import decays
from tfbert.tasks import PretrainingTask

ROOT = Path(__file__).parents[3]


def make_layer():
    layer = keras.layers.Dense(3, name="dense")
    layer.build((None, 4))
    return layer


@pytest.mark.parametrize("correction", [True, False])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("graph", [True, False])
def test_equals_numpy(correction, decay, graph):
    layer = make_layer()
    optimizer = AdamW(
        WarmupLinearDecay(0.1, 3, 12),
        weight_decay=decay,
        bias_correction=correction,
    )
    optimizer.build(layer.trainable_variables)
    wanted = [v.numpy().astype(np.float64) for v in layer.trainable_variables]
    first = [np.zeros_like(value) for value in wanted]
    second = [np.zeros_like(value) for value in wanted]
    # What float32 makes of 0.9 and 0.999: 1 - 0.999 is off by 1.3e-5 of it.
    beta_1, beta_2 = float(np.float32(0.9)), float(np.float32(0.999))
    rng = np.random.default_rng(0)
    apply = tf.function(optimizer.apply) if graph else optimizer.apply
    for t in range(1, 9):
        gradients = [rng.normal(0, 1, value.shape) for value in wanted]
        rate = 0.1 * min(t / 3, (12 - (t - 1)) / 9)
        for i, g in enumerate(gradients):
            first[i] = beta_1 * first[i] + (1 - beta_1) * g
            second[i] = beta_2 * second[i] + (1 - beta_2) * g**2
            scale = 1.0
            if correction:
                scale = np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
            if i == 0:  # The kernel; the bias does not decay.
                wanted[i] = wanted[i] * (1 - rate * decay)
            wanted[i] -= rate * scale * first[i] / (np.sqrt(second[i]) + 1e-6)
        apply([tf.constant(g, tf.float32) for g in gradients])
    for variable, value in zip(layer.trainable_variables, wanted, strict=True):
        np.testing.assert_allclose(variable, value, rtol=2e-5, atol=1e-6)


def test_sparse_gradients_are_taken_as_dense_ones():
    tables = [keras.Variable(np.ones((5, 2), np.float32)) for _ in range(2)]
    indices = tf.constant([1, 3, 1])
    rows = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    sparse = tf.IndexedSlices(rows, indices, tf.constant([5, 2]))
    dense = tf.math.unsorted_segment_sum(rows, indices, 5)
    for table, gradient in zip(tables, (sparse, dense), strict=True):
        optimizer = AdamW(0.1)
        optimizer.build([table])
        optimizer.apply([gradient])
    np.testing.assert_allclose(tables[0], tables[1], rtol=1e-6)


def test_decay_leaves_out_biases_and_layer_norms():
    task = PretrainingTask(
        BertConfig.preset("tiny", vocab_size=20, num_hidden_layers=1),
        next_sentence=True,
    )
    for variable in task.weights:
        assert decays(variable.path) == (len(variable.shape) == 2)
    assert decays("a/LayerNorm/weight") is False
    assert decays("biased_words/kernel") is True


def test_config_round_trip():
    optimizer = AdamW(
        WarmupLinearDecay(1e-3, 2, 9),
        weight_decay=0.2,
        beta_1=0.8,
        beta_2=0.99,
        epsilon=1e-7,
        bias_correction=False,
    )
    copy = AdamW.from_config(optimizer.get_config())
    assert copy.get_config() == optimizer.get_config()
    assert copy.decay == 0.2


REPLICAS = """
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
logical = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, logical)
import keras
from tfbert.optimizers import AdamW, WarmupLinearDecay

def make():
    layer = keras.layers.Dense(3, name="dense", kernel_initializer="ones")
    layer.build((None, 4))
    optimizer = AdamW(WarmupLinearDecay(0.1, 3, 12), weight_decay=0.1)
    optimizer.build(layer.trainable_variables)
    return layer, optimizer

def gradients(step):
    rng = np.random.default_rng(step)
    return [rng.normal(0, 1, s).astype("float32") for s in ((4, 3), (3,))]

single, optimizer = make()
for step in range(4):
    optimizer.apply(gradients(step))

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layer, optimizer = make()

@tf.function
def update(values):
    def replica(values):
        context = tf.distribute.get_replica_context()
        half = [value / 2 for value in values]
        reduced = context.all_reduce("SUM", half)

        def merge(strategy, reduced):
            rate = optimizer.learning_rate
            for value, variable in zip(reduced, layer.trainable_variables):
                strategy.extended.update(
                    variable.value,
                    lambda v, g: optimizer.update_step(g, v, rate),
                    args=(value,),
                    group=False,
                )
            optimizer.iterations.assign_add(1)

        context.merge_call(merge, args=(reduced,))

    strategy.run(replica, args=(values,))

for step in range(4):
    update([tf.constant(value) for value in gradients(step)])
for one, two in zip(single.trainable_variables, layer.trainable_variables):
    for copy in strategy.experimental_local_results(two.value):
        np.testing.assert_allclose(copy.numpy(), one.numpy(), rtol=1e-6)
assert optimizer.iterations.numpy() == 4
"""


@pytest.mark.long
def test_inside_extended_update_on_two_replicas():
    # Logical devices are made before TensorFlow starts: a process of its own.
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_beta_1_of_zero_is_a_step_along_the_sign():
    """As in Keras' Adam: no momentum, RMSprop with a correction."""
    variable = keras.Variable(np.float32([1.0, -2.0]))
    optimizer = AdamW(0.1, weight_decay=0.0, beta_1=0.0, epsilon=1e-12)
    optimizer.build([variable])
    optimizer.apply([tf.constant([0.5, -3.0])])
    np.testing.assert_allclose(variable.numpy(), [0.9, -1.9], rtol=1e-5)
