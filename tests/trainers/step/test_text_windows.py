"""Texts in windows make one update, however their batch is shared."""

import keras
import numpy as np
import pytest
from step_cases import CONFIG, make_strategy, training_model

from tfbert.tasks import ClassificationTask, EmbeddingTask
from tfbert.weights.variables import named_variables
from tfrecords.labelled.batches import training_batches
from tfrecords.labelled.encoded import WindowRows

EXAMPLES, LENGTH = 12, 10


def make_columns(texts=None):
    """Texts of one to four windows, the last of each shorter."""
    draw = np.random.default_rng(4)
    shape = (EXAMPLES,) if texts is None else (EXAMPLES, texts)
    counts = draw.integers(1, 5, shape)
    lengths = draw.integers(3, LENGTH + 1, (counts.sum(), 1))
    mask = (np.arange(LENGTH) < lengths).astype("int8")
    rows = {
        "input_ids": draw.integers(5, 50, mask.shape).astype("int32") * mask,
        "input_mask": mask,
        "segment_ids": np.zeros_like(mask),
    }
    columns = {name: WindowRows(row, counts) for name, row in rows.items()}
    columns["label_ids"] = draw.integers(0, 3, EXAMPLES)
    if texts:
        columns["text_keys"] = np.arange(counts.size).reshape(shape)
    return columns


def step(make_task, columns, replicas=1, tests=False, **options):
    """(what is logged, the weights after one step of plain descent)."""
    strategy = make_strategy(replicas)
    with strategy.scope():
        task = make_task()
        task.encoder.skip_padding = True
        model = training_model(task, clip_norm=None, **options)
        model.compile(keras.optimizers.SGD(1.0))

    def dataset(_=None):
        return training_batches(
            columns,
            seed=1,
            global_batch_size=EXAMPLES,
            num_replicas=replicas,
            local_replicas=replicas,
        )

    batches = dataset()
    if replicas > 1:
        batches = strategy.distribute_datasets_from_function(dataset)
    make = model.make_test_function if tests else model.make_train_function
    logs = make()(iter(batches))
    return logs, {
        name: np.array(variable)
        for name, variable in named_variables(task).items()
    }


CASES = {
    "attention": (
        lambda: ClassificationTask(CONFIG, 3, window_pooling="attention"),
        None,
    ),
    "vectors": (lambda: EmbeddingTask(CONFIG), 2),
}


@pytest.fixture(scope="module")
def alone():
    """On one device, by case."""
    return {
        name: step(make_task, make_columns(texts))
        for name, (make_task, texts) in CASES.items()
    }


@pytest.mark.parametrize(
    ("case", "replicas", "accumulation_steps"),
    [
        pytest.param("attention", 1, 4, marks=pytest.mark.long),
        ("attention", 3, 1),
        ("vectors", 1, 4),
        pytest.param("vectors", 3, 1, marks=pytest.mark.long),
        pytest.param("attention", 3, 2, marks=pytest.mark.long),
    ],
)
def test_the_update_is_that_of_one_device(
    alone, case, replicas, accumulation_steps
):
    (make_task, texts), (logs, weights) = CASES[case], alone[case]
    columns = make_columns(texts)
    found_logs, found = step(
        make_task, columns, replicas, accumulation_steps=accumulation_steps
    )
    # Padding and windows that are none cost nothing.
    assert float(logs["places"]) == columns["input_mask"].rows.sum()
    for name in ("loss", "gradient_norm", "tokens", "places", "loss_weight"):
        np.testing.assert_allclose(found_logs[name], logs[name], rtol=2e-5)
    assert float(logs["loss_weight"]) == EXAMPLES
    for name, value in weights.items():
        # Gradients of cosines are large, and added up in another order.
        atol = 5e-6 * max(1.0, np.abs(value).max())
        np.testing.assert_allclose(found[name], value, atol=atol, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_validation_has_the_loss_of_training(alone, case):
    """Windows are computed in parts there."""
    make_task, texts = CASES[case]
    logs, _ = step(make_task, make_columns(texts), tests=True)
    np.testing.assert_allclose(logs["loss"], alone[case][0]["loss"], rtol=1e-5)
