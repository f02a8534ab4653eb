import numpy as np
import pytest

from tfbert.errors import UserError
from tfrecords import layout
from tfrecords.batches import dataset
from tfrecords.batches.batch import make_batch
from tfrecords.batches.mixture import Mixture, open_mixture
from tfrecords.masking.masking import Masking

MASKING = Masking(max_predictions=5)
SEED = 11
BLOCK = 65536


@pytest.fixture
def mix(make_records, random_rows):
    """A function: (sizes, weights, temperature) -> Mixture."""

    def make(sizes=(40, 7, 23), weights=(5, 1, 2.5), temperature=1.0):
        sources = [
            make_records(f"r{i}", random_rows(size, 16, seed=i), shards=2)
            for i, size in enumerate(sizes)
        ]
        return Mixture(sources, weights, temperature)

    return make


def of_replicas(mixture, replicas, start, steps, size=12):
    parts = [
        list(
            dataset.pretraining_batches(
                mixture,
                MASKING,
                seed=SEED,
                global_batch_size=size,
                num_replicas=replicas,
                first_replica=replica,
                start_step=start,
            )
            .take(steps)
            .as_numpy_iterator()
        )
        for replica in range(replicas)
    ]
    return [
        {key: np.concatenate([p[key] for p in step]) for key in step[0]}
        for step in zip(*parts, strict=True)
    ]


def test_every_block_has_the_exact_counts(mix):
    mixture = mix(weights=(5, 1, 2.5))
    positions = np.arange(3 * BLOCK)
    numbers, _ = mixture.sources_at(positions, SEED)
    for block in numbers.reshape(3, BLOCK):
        counts = np.bincount(block) / BLOCK
        assert counts.tolist() == mixture.shares
        np.testing.assert_allclose(
            counts, np.array([5, 1, 2.5]) / 8.5, atol=1 / BLOCK
        )


@pytest.mark.parametrize("run", [8, 64, 1024])
def test_every_run_of_positions_has_its_shares(mix, run):
    mixture = mix()
    numbers, _ = mixture.sources_at(np.arange(2 * BLOCK), SEED)
    for number, share in enumerate(mixture.shares):
        counts = (numbers.reshape(-1, run) == number).sum(axis=1)
        assert abs(counts - run * share).max() <= 1


def test_a_source_comes_as_it_would_alone(mix):
    mixture = mix()
    positions = np.arange(3 * BLOCK // 2)
    numbers, places = mixture.sources_at(positions, SEED)
    row_ids, epochs = mixture.rows_at(positions, SEED)
    first = 0
    for number, source in enumerate(mixture.sources):
        own = numbers == number
        np.testing.assert_array_equal(places[own], np.arange(own.sum()))
        want, epoch = source.rows_at(np.arange(own.sum()), SEED)
        np.testing.assert_array_equal(row_ids[own] - first, want)
        np.testing.assert_array_equal(epochs[own], epoch)
        first += source.num_rows


def test_a_position_does_not_depend_on_its_company(mix):
    mixture = mix()
    positions = np.array([5 * BLOCK + 3, 0, BLOCK - 1, BLOCK, 10**13])
    together = np.stack(mixture.rows_at(positions, SEED))
    for place, position in enumerate(positions):
        alone = mixture.rows_at(np.array([position]), SEED)
        assert together[:, place].tolist() == [int(v[0]) for v in alone]
    other = np.stack(mixture.sources_at(np.arange(4096), SEED + 1))
    assert (other != np.stack(mixture.sources_at(np.arange(4096), SEED))).any()


def test_workers_and_resuming_do_not_change_the_batches(mix):
    mixture = mix()
    # Over the end of the first block, too.
    for start in (0, BLOCK // 12 - 3):
        alone = of_replicas(mixture, 1, start, 6)
        for replicas, into in [(2, 0), (3, 2), (4, 5)]:
            rest = of_replicas(mixture, replicas, start + into, 6 - into)
            for one, other in zip(alone[into:], rest, strict=True):
                for key, value in one.items():
                    np.testing.assert_array_equal(value, other[key])


def test_rows_and_masks_are_those_of_their_source(mix):
    mixture = mix()
    row_ids = np.array([0, 39, 40, 46, 47, 69, 3])
    rows = mixture.tokens(row_ids)
    for row, (source, own) in zip(
        rows,
        [(0, 0), (0, 39), (1, 0), (1, 6), (2, 0), (2, 22), (0, 3)],
        strict=True,
    ):
        want = mixture.sources[source].tokens(np.array([own]))[0]
        np.testing.assert_array_equal(row, want)
    epochs = np.zeros(7, np.int64)
    batch = make_batch(mixture, MASKING, row_ids, epochs, SEED)
    masked = MASKING.apply(rows, row_ids, epochs, SEED, mixture.classes)
    np.testing.assert_array_equal(
        batch[layout.INPUT_IDS], masked[layout.INPUT_IDS]
    )


def test_evaluation_has_every_row_of_every_source_once(mix):
    mixture = mix()
    made, _ = dataset.evaluation_batches(
        mixture, Masking(rate=0.5), seed=SEED, global_batch_size=16
    )
    seen = []
    for batch in made.as_numpy_iterator():
        real = batch["masked_lm_weights"] > 0
        ids = batch["input_ids"].copy()
        for row in np.flatnonzero(real.any(axis=1)):
            places = batch["masked_lm_positions"][row][real[row]]
            ids[row, places] = batch["masked_lm_ids"][row][real[row]]
            seen.append(tuple(ids[row]))
    want = [tuple(row) for row in mixture.tokens(np.arange(70))]
    assert sorted(seen) == sorted(want)


def test_shares_follow_sizes_and_temperature(mix):
    by_size = mix(sizes=(80, 20), weights=None)
    assert by_size.shares == pytest.approx([0.8, 0.2], abs=1e-4)
    roots = np.sqrt([0.8, 0.2])
    flat = Mixture(by_size.sources, None, 0.5)
    assert flat.shares == pytest.approx(roots / roots.sum(), abs=1e-4)
    assert Mixture(by_size.sources, None, 0).shares == [0.5, 0.5]
    tiny = Mixture(by_size.sources, [1e300, 1e300 / 70_000])
    assert tiny.shares == [1 - 1 / BLOCK, 1 / BLOCK]


def test_packed_and_plain_rows_go_together(make_records, random_rows):
    plain = make_records("a", random_rows(9, 16))
    packed = make_records("b", random_rows(9, 16), packed=True)
    mixture = Mixture([plain, packed])
    made = make_batch(
        mixture, MASKING, np.array([0, 17]), np.zeros(2, np.int64), 0
    )
    np.testing.assert_array_equal(made["sequence_ids"], made["input_mask"])


def test_damage_is_skipped_in_its_source_alone(mix):
    sources = mix().sources
    shard = sources[1].path / sources[1].manifest.shards[0].file
    data = bytearray(shard.read_bytes())
    data[60] ^= 1
    shard.write_bytes(data)
    mixture = open_mixture([s.path for s in sources], on_corrupt="skip")
    assert mixture.bad_rows.tolist() == [40, 41, 42]
    assert len(mixture.faults) == 1
    assert mixture.tokens(np.array([41]))[0].tolist() == [2, 3] + [0] * 14


@pytest.mark.parametrize(
    "how, message",
    [
        ({"tokens": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]}, "vocab"),
        ({"length": 18}, "one sequence length: .* has 16, .* has 18"),
        ({"objective": layout.NEXT_SENTENCE}, "one objective"),
    ],
)
def test_sources_that_do_not_go_together(
    make_records, random_rows, how, message
):
    length = how.pop("length", 17 if "objective" in how else 16)
    one = make_records("a", random_rows(9, 16))
    other = make_records("b", random_rows(9, length), **how)
    with pytest.raises(UserError, match=message):
        Mixture([one, other])


@pytest.mark.parametrize(
    "weights, temperature, message",
    [
        ([1, 2], 1, "2 weights for 3"),
        ([1, 0, 2], 1, "weight of .*r1 is 0"),
        ([1, float("nan"), 2], 1, "weight of .*r1 is nan"),
        ([1, None, 2], 1, "some have none"),
        ([1e6, 1e6, 1], 1, "r2 has a share of less than one row in 131072"),
        (None, 1.5, "temperature 1.5"),
    ],
)
def test_weights_that_mean_nothing(mix, weights, temperature, message):
    sources = mix().sources
    with pytest.raises(UserError, match=message):
        Mixture(sources, weights, temperature)


def test_no_sources_and_no_rows(make_records, random_rows):
    with pytest.raises(UserError, match="a mixture of no records"):
        Mixture([])
    empty = make_records("a", random_rows(0, 16))
    with pytest.raises(UserError, match="has no rows"):
        Mixture([empty])
