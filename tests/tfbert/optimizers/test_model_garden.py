"""AdamW and LAMB beside those of TensorFlow's Model Garden."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbert.optimizers import LAMB, AdamW

optimization = pytest.importorskip(
    "official.nlp.optimization", reason="tf-models-official is not installed"
)
EXCLUDED = ["layer_norm", "bias"]
START = {"kernel": (4, 3), "layer_norm": (3,), "bias": (3,)}
SETTINGS = {"learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.999}


def gradients(step):
    rng = np.random.default_rng(step)
    return [rng.normal(0, 1, shape).astype("f4") for shape in START.values()]


def ours(optimizer):
    names = {"layer_norm": "layer_norm/gamma"}
    variables = []
    rng = np.random.default_rng(99)
    for name, shape in START.items():
        variable = keras.Variable(rng.normal(0, 1, shape).astype("f4"))
        variable._path = names.get(name, name)
        variables.append(variable)
    optimizer.build(variables)
    for step in range(20):
        optimizer.apply(gradients(step))
    return [variable.numpy() for variable in variables]


def theirs(optimizer):
    rng = np.random.default_rng(99)
    variables = [
        tf.Variable(rng.normal(0, 1, shape).astype("f4"), name=name)
        for name, shape in START.items()
    ]
    for step in range(20):
        pairs = zip(map(tf.constant, gradients(step)), variables, strict=True)
        optimizer.apply_gradients(pairs)
    return [variable.numpy() for variable in variables]


def test_adamw():
    wanted = theirs(
        optimization.AdamWeightDecay(
            **SETTINGS,
            weight_decay_rate=0.1,
            epsilon=1e-6,
            exclude_from_weight_decay=EXCLUDED,
            gradient_clip_norm=0.0,
        )
    )
    found = ours(AdamW(**SETTINGS, weight_decay=0.1, epsilon=1e-6))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_lamb():
    from official.modeling.optimization.lamb import LAMB as GardenLAMB

    wanted = theirs(
        GardenLAMB(
            **SETTINGS,
            weight_decay_rate=0.1,
            epsilon=1e-6,
            exclude_from_weight_decay=EXCLUDED,
            exclude_from_layer_adaptation=EXCLUDED,
        )
    )
    found = ours(LAMB(**SETTINGS, weight_decay=0.1, epsilon=1e-6))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
