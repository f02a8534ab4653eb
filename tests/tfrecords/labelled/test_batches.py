import numpy as np
import pytest
import tensorflow as tf

from tfbert.errors import UserError
from tfrecords.labelled import batches


def columns(count):
    """Rows that start with 1, 2, 3, ...; the label is 0 for odd numbers."""
    first = np.arange(1, count + 1, dtype=np.int32)
    return {
        "input_ids": np.stack([first] * 8, axis=1),
        "input_mask": np.ones([count, 8], np.int8),
        "label_ids": (first + 1) % 2,
        "score": first / 2,
    }


def training(count, steps, seed=1, batch=12, **kwargs):
    dataset = batches.training_batches(
        columns(count), seed=seed, global_batch_size=batch, **kwargs
    )
    return list(dataset.take(steps).as_numpy_iterator())


def numbers(found):
    """The examples' numbers in each batch; 0 for padding rows."""
    return [
        (b["input_ids"][:, 0] * b["is_real_example"]).tolist() for b in found
    ]


def test_batches_have_static_shapes_and_plain_types():
    dataset = batches.training_batches(columns(5), seed=0, global_batch_size=4)
    spec = dataset.element_spec
    assert spec["input_ids"].shape == [4, 8]
    assert spec["is_real_example"].shape == [4]
    kinds = {key: tensor.dtype.name for key, tensor in spec.items()}
    assert kinds.pop("score") == "float32"
    assert set(kinds.values()) == {"int32"}
    assert set(kinds) == {
        "input_ids",
        "input_mask",
        "label_ids",
        "is_real_example",
    }


def test_training_batches_have_no_end():
    """Else several workers ask one another, and no shape is static."""
    dataset = batches.training_batches(columns(5), seed=0, global_batch_size=4)
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY


def test_every_example_once_an_epoch_whatever_the_batch():
    seen = sum(numbers(training(10, 5, batch=4)), [])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(1, 11))
    assert seen[:10] != seen[10:]
    assert seen != sum(numbers(training(10, 5, batch=4, seed=2)), [])


def test_columns_stay_together():
    for batch in training(10, 5):
        first = batch["input_ids"][:, 0]
        assert batch["label_ids"].tolist() == ((first + 1) % 2).tolist()
        assert batch["score"].tolist() == (first / 2).tolist()


@pytest.mark.parametrize("replicas", [2, 3, 4])
def test_replicas_share_the_same_global_batches(replicas):
    parts = [
        numbers(training(7, 4, num_replicas=replicas, first_replica=replica))
        for replica in range(replicas)
    ]
    together = [sum(step, []) for step in zip(*parts, strict=True)]
    assert together == numbers(training(7, 4))


def test_a_worker_yields_its_replicas_in_order_and_starts_anywhere():
    whole = numbers(training(7, 5, batch=8))
    worker = numbers(
        training(
            7,
            4,
            batch=8,
            num_replicas=4,
            first_replica=2,
            local_replicas=2,
            start_step=3,
        )
    )
    assert worker == [whole[3][4:6], whole[3][6:], whole[4][4:6], whole[4][6:]]


@pytest.mark.parametrize("count", [1, 8, 9, 17])
@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_evaluation_takes_every_example_once(count, replicas):
    parts = []
    for replica in range(replicas):
        dataset, steps = batches.evaluation_batches(
            columns(count),
            global_batch_size=8,
            num_replicas=replicas,
            first_replica=replica,
        )
        found = list(dataset.as_numpy_iterator())
        assert len(found) == steps == -(-count // 8)
        # Padding rows have tokens to attend to.
        assert all(b["input_mask"].any(axis=1).all() for b in found)
        parts.append(numbers(found))
    in_order = sum(sum(map(list, zip(*parts, strict=True)), []), [])
    assert in_order[:count] == list(range(1, count + 1))
    assert set(in_order[count:]) <= {0}


def test_a_batch_that_replicas_cannot_share_is_refused():
    shape = {"global_batch_size": 8, "num_replicas": 3}
    with pytest.raises(UserError, match="shared equally by 3 replicas"):
        batches.evaluation_batches(columns(4), **shape)
    with pytest.raises(UserError, match="batch of 0 cannot"):
        training(4, 1, batch=0)
