import numpy as np
import pytest

from tfrecords import keyed_order
from tfrecords.labelled.batches import training_batches
from tfrecords.labelled.epochs import batch_order

SIZE = 1003
LENGTHS = np.random.default_rng(0).integers(3, 60, SIZE)


def test_without_lengths_it_is_the_order_of_records():
    rows_of = batch_order(SIZE, 16, seed=3)
    for batch in (0, 7, 100):
        positions = np.arange(16 * batch, 16 * batch + 16)
        wanted = keyed_order.rows_at(positions, SIZE, 3)[0]
        np.testing.assert_array_equal(rows_of(batch), wanted)


@pytest.mark.parametrize("size", [1003, 40, 9])
def test_groups_of_like_length_lose_and_double_nothing(size):
    lengths = LENGTHS[:size]
    rows_of = batch_order(size, 16, seed=3, lengths=lengths)
    window = min(64, max(size // 16, 1))
    rows = np.concatenate([rows_of(batch) for batch in range(2 * window)])
    plain = batch_order(size, 16, seed=3)
    for part in range(2):
        batches = range(part * window, part * window + window)
        wanted = np.concatenate([plain(batch) for batch in batches])
        count = window * 16
        found = rows[part * count : part * count + count]
        np.testing.assert_array_equal(np.sort(found), np.sort(wanted))
    # Any batch can be asked for without those before.
    again = batch_order(size, 16, seed=3, lengths=lengths)
    np.testing.assert_array_equal(again(window + 1), rows_of(window + 1))


def test_groups_have_less_padding_and_come_in_another_order():
    plain = batch_order(SIZE, 16, seed=3)
    grouped = batch_order(SIZE, 16, seed=3, lengths=LENGTHS)

    def longest(rows_of):
        return [LENGTHS[rows_of(batch)].max() for batch in range(62)]

    assert np.mean(longest(grouped)) < 0.65 * np.mean(longest(plain))
    # Not the short ones first.
    assert abs(np.corrcoef(longest(grouped), np.arange(62))[0, 1]) < 0.5


def test_replicas_share_batches_cut_to_one_length():
    mask = (np.arange(64) < LENGTHS[:, None]).astype(np.int8)
    columns = {"input_mask": mask, "number": np.arange(SIZE)}

    def batches(start_step=0, **replicas):
        made = training_batches(
            columns,
            seed=3,
            global_batch_size=16,
            start_step=start_step,
            lengths=LENGTHS,
            sequence_keys=["input_mask"],
            **replicas,
        )
        return list(made.take(6).as_numpy_iterator())

    whole = batches()
    rows_of = batch_order(SIZE, 16, 3, LENGTHS)
    for step, batch in enumerate(whole):
        np.testing.assert_array_equal(batch["number"], rows_of(step))
        longest = LENGTHS[batch["number"]].max()
        width = batch["input_mask"].shape[1]
        assert width % 16 == 0 and longest <= width < longest + 16
    halves = batches(num_replicas=2, local_replicas=2)
    for step in range(3):
        two = halves[2 * step : 2 * step + 2]
        for key in columns:
            joined = np.concatenate([half[key] for half in two])
            np.testing.assert_array_equal(joined, whole[step][key])
    resumed = batches(start_step=4)
    np.testing.assert_array_equal(resumed[0]["number"], whole[4]["number"])
