"""F58: what is wrong with the data shows while batches are in flight."""

import os
import random
import subprocess
import sys

import pytest

pytestmark = pytest.mark.faults


def write_rows(path, vocabulary):
    """The format of 2018; every fortieth row is longer."""
    import tensorflow as tf

    draw = random.Random(0)

    def whole(values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def row(length):
        ids = [2, *(draw.randrange(5, vocabulary) for _ in range(8)), 3]
        weights = tf.train.FloatList(value=[1.0, 0.0, 0.0, 0.0])
        features = {
            "input_ids": whole(ids + [0] * (length - 10)),
            "input_mask": whole([1] * 10 + [0] * (length - 10)),
            "segment_ids": whole([0] * length),
            "masked_lm_positions": whole([2, 0, 0, 0]),
            "masked_lm_ids": whole([ids[2], 0, 0, 0]),
            "masked_lm_weights": tf.train.Feature(float_list=weights),
            "next_sentence_labels": whole([0]),
        }
        return tf.train.Example(features=tf.train.Features(feature=features))

    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(400):
            length = 16 if number % 40 else 24
            writer.write(row(length).SerializeToString())


@pytest.mark.parametrize("round", range(3))
def test_a_real_process_ends_with_its_status(round, faults, tmp_path):
    """Batches in flight held it up for a minute or more."""
    records = tmp_path / "records"
    records.mkdir()
    vocab = faults.data / "vocab.txt"
    tokens = len(vocab.read_text().split())
    write_rows(records / "rows.tfrecord", tokens)
    options = {
        **faults.settings,
        "data.records": records,
        "data.vocab": vocab,
        "runtime.run_dir": tmp_path / "run",
    }
    del options["data.masking.max_predictions"]
    words = [str(w) for k, v in options.items() for w in (f"--{k}", v)]
    ended = subprocess.run(
        [sys.executable, "-m", "trainers.pretrain", *words],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert ended.returncode == 2, ended.stderr
    assert "rows.tfrecord, record" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_deterministic_operations_change_nothing_on_a_cpu(
    faults, tmp_path, reference
):
    run_dir = tmp_path / "run"
    faults.pretrain(run_dir, {"runtime.deterministic": "true"}).done()
    faults.assert_same(run_dir, reference)
