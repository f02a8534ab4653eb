"""The update without padding is that of padded rows, however it is shared."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from step_cases import CONFIG, make_strategy, training_model

from tfbert.tasks import ClassificationTask
from tfbert.weights.variables import named_variables

ROWS, LENGTH = 15, 13


@pytest.fixture(scope="module")
def data():
    """One row is full; of replicas that share them each has other lengths."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(2, 6, (ROWS, 1))
    lengths[3] = LENGTH
    mask = (np.arange(LENGTH) < lengths).astype("int32")
    ids = draw.integers(5, 50, mask.shape).astype("int32") * mask
    return {
        "input_ids": ids,
        "input_mask": mask,
        "segment_ids": np.zeros_like(mask),
        "label_ids": draw.integers(0, 3, ROWS).astype("int32"),
        "is_real_example": np.ones(ROWS, "int32"),
    }


def step(data, skip, replicas=1, **options):
    """(what is logged, the weights after one step of plain descent)."""
    strategy = make_strategy(replicas)
    with strategy.scope():
        task = ClassificationTask(CONFIG, 3)
        task.encoder.skip_padding = skip
        model = training_model(task, clip_norm=None, **options)
        model.compile(keras.optimizers.SGD(1.0))
    dataset = tf.data.Dataset.from_tensor_slices(data)
    dataset = dataset.batch(ROWS // replicas, drop_remainder=True)
    if replicas > 1:
        batches = strategy.distribute_datasets_from_function(lambda _: dataset)
    else:
        batches = dataset
    logs = model.make_train_function()(iter(batches))
    return logs, {
        name: np.array(variable)
        for name, variable in named_variables(task).items()
    }


@pytest.fixture(scope="module")
def padded(data):
    return step(data, skip=False)


@pytest.mark.parametrize(
    ("replicas", "accumulation_steps"),
    [
        pytest.param(1, 1, marks=pytest.mark.long),
        (1, 5),
        pytest.param(3, 1, marks=pytest.mark.long),
        pytest.param(3, 5, marks=pytest.mark.long),
    ],
)
def test_the_update_is_that_of_padded_rows(
    data, padded, replicas, accumulation_steps
):
    logs, weights = step(
        data, True, replicas, accumulation_steps=accumulation_steps
    )
    tokens = data["input_mask"].sum()
    assert float(logs["tokens"]) == float(logs["places"]) == tokens
    assert float(padded[0]["places"]) == ROWS * LENGTH
    for name in ("loss", "accuracy", "gradient_norm"):
        np.testing.assert_allclose(logs[name], padded[0][name], rtol=1e-5)
    for name, value in padded[1].items():
        np.testing.assert_allclose(
            weights[name], value, atol=1e-6, err_msg=name
        )
