import collections
import math

import numpy as np
import pytest

from tfrecords import layout
from tfrecords.batches import unigrams
from tfrecords.batches.mixture import Mixture
from tfrecords.batches.unigrams import unigram_entropy
from tfrecords.storage.legacy_2018 import StaticRecords


def brute_force(tokens):
    counts = collections.Counter(t for t in np.ravel(tokens).tolist() if t > 4)
    total = sum(counts.values())
    return -sum(n / total * math.log(n / total) for n in counts.values())


@pytest.mark.parametrize("at_a_time", [3, 1024])
def test_all_rows_are_counted(
    make_records, random_rows, monkeypatch, at_a_time
):
    monkeypatch.setattr(unigrams, "_ROWS", at_a_time)
    records = make_records("one", random_rows(41, 16), shards=3)
    wanted = brute_force(records.tokens(np.arange(41)))
    assert unigram_entropy(records) == pytest.approx(wanted)


def test_the_first_rows_of_the_run_are_those_of_its_seed(
    make_records, random_rows
):
    sources = [
        make_records(f"r{i}", random_rows(50, 16, seed=i)) for i in range(2)
    ]
    mixture = Mixture(sources, (5, 1), 1.0)
    rows, _ = mixture.rows_at(np.arange(30), 7)
    wanted = brute_force(mixture.tokens(rows))
    assert unigram_entropy(mixture, 30, seed=7) == pytest.approx(wanted)
    assert unigram_entropy(mixture, 30, seed=8) != pytest.approx(wanted)


def test_masked_rows_count_as_what_was_hidden(monkeypatch):
    """A record of 2018 holds the mask, and the hidden token as a label."""
    tokens = np.array([[2, 5, 5, 3, 0], [2, 5, 6, 3, 0]])
    masked = tokens.copy()
    masked[0, 1] = masked[1, 2] = 4

    class Old(StaticRecords):
        def __init__(self):
            self.num_rows = 2
            self.classes = collections.namedtuple("C", "vocab_size maskable")(
                8, np.arange(8) >= 5
            )

        def batch(self, row_ids):
            return {
                layout.INPUT_IDS: masked[row_ids],
                layout.MASKED_LM_POSITIONS: np.array([[1, 0], [2, 0]])[row_ids],
                layout.MASKED_LM_IDS: np.array([[5, 0], [6, 0]])[row_ids],
                layout.MASKED_LM_WEIGHTS: np.array([[1.0, 0], [1, 0]])[row_ids],
            }

    assert unigram_entropy(Old()) == pytest.approx(brute_force(tokens))
