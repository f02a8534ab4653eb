import numpy as np
import pytest

from tfbert.errors import UserError
from tfrecords import layout
from tfrecords.batches import dataset
from tfrecords.batches.batch import make_batch, row_ids_at, structure
from tfrecords.masking.masking import Masking

MASKING = Masking(max_predictions=5)
# In every row there is something to predict.
ENOUGH = Masking(rate=0.5)
SEED = 11


def take(made, count):
    return list(made.take(count).as_numpy_iterator())


def global_batches(records, workers, steps, start=0, size=12, local=1):
    """The global batches of a run on `workers` workers, put together."""
    replicas = workers * local
    parts = [
        take(
            dataset.pretraining_batches(
                records,
                MASKING,
                seed=SEED,
                global_batch_size=size,
                num_replicas=replicas,
                first_replica=worker * local,
                local_replicas=local,
                start_step=start,
            ),
            steps * local,
        )
        for worker in range(workers)
    ]
    whole = []
    for step in range(steps):
        of_step = [
            part
            for worker in parts
            for part in worker[step * local : (step + 1) * local]
        ]
        whole.append(
            {
                key: np.concatenate([part[key] for part in of_step])
                for key in of_step[0]
            }
        )
    return whole


def assert_same(left, right):
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            np.testing.assert_array_equal(value, other[key], err_msg=key)


@pytest.mark.parametrize("workers, local", [(2, 1), (3, 1), (4, 1), (2, 2)])
def test_global_batches_do_not_depend_on_workers(
    make_records, random_rows, workers, local
):
    records = make_records("r", random_rows(50, 16), shards=3)
    alone = global_batches(records, 1, 9)
    assert_same(global_batches(records, workers, 9, local=local), alone)


@pytest.mark.parametrize("shards", [2, 5, 17])
def test_global_batches_do_not_depend_on_shards(
    make_records, random_rows, shards
):
    rows = random_rows(70, 16)
    one = make_records("one", rows, shards=1)
    many = make_records("many", rows, shards=shards)
    assert len(many.manifest.shards) > 1
    assert_same(global_batches(many, 1, 12), global_batches(one, 1, 12))


def test_a_run_goes_on_at_any_step_on_other_workers(make_records, random_rows):
    records = make_records("r", random_rows(50, 16))
    whole = global_batches(records, 1, 10)
    for start in range(10):
        workers = start % 4 + 1
        rest = global_batches(records, workers, 10 - start, start=start)
        assert_same(rest, whole[start:])


def test_a_far_step_is_reached_at_once(make_records, random_rows):
    records = make_records("r", random_rows(50, 16))
    (batch,) = global_batches(records, 1, 1, start=10**9)
    rows, epochs = row_ids_at(
        10**9, seed=SEED, global_batch_size=12, num_rows=50
    )
    assert epochs[0] == 12 * 10**9 // 50
    want = make_batch(records, MASKING, rows, epochs, SEED)
    assert_same([batch], [want])


def test_each_row_comes_once_in_each_epoch(make_records, random_rows):
    rows = random_rows(48, 16)
    records = make_records("r", rows, shards=4)
    batches_ = global_batches(records, 1, 8, size=12)
    for epoch in (batches_[:4], batches_[4:]):
        seen = []
        for batch in epoch:
            restored = batch["input_ids"].copy()
            weights = batch["masked_lm_weights"] > 0
            for row in range(12):
                places = batch["masked_lm_positions"][row][weights[row]]
                restored[row, places] = batch["masked_lm_ids"][row][
                    weights[row]
                ]
            seen.append(restored)
        found = np.concatenate(seen)
        np.testing.assert_array_equal(
            np.unique(found, axis=0), np.unique(rows, axis=0)
        )
    first, second = batches_[0]["input_ids"], batches_[4]["input_ids"]
    assert (first != second).any()


def test_element_has_the_promised_shapes(make_records, random_rows):
    records = make_records("r", random_rows(50, 16), packed=True)
    made = dataset.pretraining_batches(
        records, MASKING, seed=0, global_batch_size=8, num_replicas=2
    )
    shapes = {k: tuple(v.shape) for k, v in made.element_spec.items()}
    types = {k: v.dtype.name for k, v in made.element_spec.items()}
    assert shapes == {
        "input_ids": (4, 16),
        "input_mask": (4, 16),
        "segment_ids": (4, 16),
        "sequence_ids": (4, 16),
        "position_ids": (4, 16),
        "masked_lm_positions": (4, 5),
        "masked_lm_ids": (4, 5),
        "masked_lm_weights": (4, 5),
    }
    assert types.pop("masked_lm_weights") == "float32"
    assert set(types.values()) == {"int32"}


def test_packed_rows_tell_their_sequences(make_records):
    rows = np.array(
        [
            [2, 10, 11, 3, 2, 12, 3, 2, 13, 14, 15, 3],
            [2, 20, 21, 22, 3, 2, 23, 3, 0, 0, 0, 0],
        ]
    )
    records = make_records("r", rows, packed=True)
    made = structure(rows, records.classes, records.manifest)
    assert made[layout.SEQUENCE_IDS].tolist() == [
        [1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
        [1, 1, 1, 1, 1, 2, 2, 2, 0, 0, 0, 0],
    ]
    assert made[layout.POSITION_IDS].tolist() == [
        [0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 3, 4],
        [0, 1, 2, 3, 4, 0, 1, 2, 0, 0, 0, 0],
    ]
    assert made[layout.INPUT_MASK].tolist() == [[1] * 12, [1] * 8 + [0] * 4]
    assert not made[layout.SEGMENT_IDS].any()


def test_pairs_tell_their_segments_and_labels(make_records):
    rows = np.array(
        [[2, 10, 11, 3, 12, 13, 14, 3, 0, 0, 1], [2, 9, 3, 9, 3] + [0] * 6]
    )
    records = make_records("r", rows, objective=layout.NEXT_SENTENCE)
    made = make_batch(
        records, MASKING, np.array([0, 1]), np.zeros(2, np.int64), 0
    )
    assert made[layout.SEGMENT_IDS].tolist() == [
        [0, 0, 0, 0, 1, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 0, 0, 0, 0, 0],
    ]
    assert made[layout.NEXT_SENTENCE_LABELS].tolist() == [1, 0]
    assert made[layout.INPUT_IDS].shape == (2, 10)
    assert layout.SEQUENCE_IDS not in made


@pytest.mark.parametrize("replicas, local", [(1, 1), (2, 1), (4, 2)])
@pytest.mark.parametrize("count", [3, 8, 21])
def test_evaluation_gives_each_row_once(
    make_records, random_rows, replicas, local, count
):
    rows = random_rows(count, 16)
    records = make_records("r", rows, packed=True)
    parts, lengths = [], set()
    for first in range(0, replicas, local):
        made, steps = dataset.evaluation_batches(
            records,
            ENOUGH,
            seed=SEED,
            global_batch_size=8,
            num_replicas=replicas,
            first_replica=first,
            local_replicas=local,
        )
        got = list(made.as_numpy_iterator())
        assert len(got) == steps * local
        lengths.add(len(got))
        parts += got
    assert lengths == {-(-count // 8) * local}
    weights = np.concatenate([p["masked_lm_weights"] for p in parts])
    ids = np.concatenate([p["input_ids"] for p in parts])
    mask = np.concatenate([p["input_mask"] for p in parts])
    assert (mask.sum(1) >= 2).all()
    used = weights.sum(1) > 0
    assert used.sum() == count
    assert ids[~used].tolist() == [[2, 3] + [0] * 14] * int((~used).sum())
    want = make_batch(
        records, ENOUGH, np.arange(count), np.zeros(count, np.int64), SEED
    )
    key = [tuple(row) for row in ids[used]]
    assert sorted(key) == sorted(tuple(r) for r in want["input_ids"])


def test_evaluation_of_some_rows_takes_the_same_ones(make_records, random_rows):
    records = make_records("r", random_rows(40, 16))
    how = dict(seed=SEED, global_batch_size=4, max_rows=10)
    runs = []
    for _ in range(2):
        made, steps = dataset.evaluation_batches(records, ENOUGH, **how)
        assert steps == 3
        runs.append(list(made.as_numpy_iterator()))
    assert_same(*runs)
    ids = np.concatenate([batch["masked_lm_weights"] for batch in runs[0]])
    assert (ids.sum(1) > 0).sum() == 10


def test_rows_that_fill_up_are_no_real_examples(make_records):
    rows = np.array([[2, 10, 11, 3, 12, 3, 1]])
    records = make_records("r", rows, objective=layout.NEXT_SENTENCE)
    made, _ = dataset.evaluation_batches(
        records, ENOUGH, seed=0, global_batch_size=3
    )
    (batch,) = made.as_numpy_iterator()
    assert batch["next_sentence_labels"].tolist() == [1, 0, 0]
    assert batch["is_real_example"].tolist() == [1, 0, 0]


def test_too_few_rows_are_refused_with_the_numbers(make_records, random_rows):
    records = make_records("r", random_rows(7, 16))
    with pytest.raises(UserError, match="7 rows.*batch of 8"):
        dataset.pretraining_batches(
            records, MASKING, seed=0, global_batch_size=8
        )


@pytest.mark.parametrize(
    "how, message",
    [
        ({"global_batch_size": 9, "num_replicas": 2}, "multiple of 2"),
        ({"global_batch_size": 8, "micro_batches": 3}, "multiple of 3"),
        ({"global_batch_size": 0}, "cannot be shared"),
        (
            {"global_batch_size": 8, "num_replicas": 2, "first_replica": 2},
            "no such replicas",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    make_records, random_rows, how, message
):
    records = make_records("r", random_rows(20, 16))
    with pytest.raises(UserError, match=message):
        dataset.pretraining_batches(records, MASKING, seed=0, **how)


def test_nothing_to_evaluate_is_refused(make_records, random_rows):
    records = make_records("r", random_rows(5, 16))
    with pytest.raises(UserError, match="no rows to evaluate"):
        dataset.evaluation_batches(
            records, MASKING, seed=0, global_batch_size=4, max_rows=0
        )
