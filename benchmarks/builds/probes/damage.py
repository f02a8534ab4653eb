"""Seconds to open records of the 2018 format of which some are damaged.

    damage.py ROWS

The length of one record in 50 is spoilt, and what cannot be read is skipped.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.builds.probes.defined import defined

LENGTH, PREDICTIONS, VOCABULARY, EVERY = 32, 5, 1000, 50


def example(rng: np.random.Generator) -> bytes:
    """A row of random tokens, serialized."""

    def whole(values) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    weights = tf.train.FloatList(value=np.ones(PREDICTIONS))
    features = {
        "input_ids": whole(rng.integers(5, VOCABULARY, LENGTH)),
        "input_mask": whole(np.ones(LENGTH, int)),
        "segment_ids": whole(np.zeros(LENGTH, int)),
        "masked_lm_positions": whole(np.arange(1, 1 + PREDICTIONS)),
        "masked_lm_ids": whole(rng.integers(5, VOCABULARY, PREDICTIONS)),
        "masked_lm_weights": tf.train.Feature(float_list=weights),
    }
    message = tf.train.Features(feature=features)
    return tf.train.Example(features=message).SerializeToString()


def write(folder: Path, rows: int) -> int:
    """Writes a file of records; returns how many are damaged."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens = special + [f"w{number}" for number in range(VOCABULARY - 5)]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    rng, path = np.random.default_rng(0), folder / "part-0.tfrecord"
    starts, end = [], 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(rows):
            data = example(rng)
            writer.write(data)
            starts.append(end)
            end += len(data) + 16
    damaged = starts[EVERY // 2 :: EVERY]
    with path.open("r+b") as stream:
        for start in damaged:
            stream.seek(start)
            stream.write(b"\xff")
    return len(damaged)


def main() -> None:
    """Writes the file, opens it, prints the seconds."""
    [open_records] = defined("tfrecords", "open_records")
    with tempfile.TemporaryDirectory() as folder:
        damaged = write(Path(folder), int(sys.argv[1]))
        start, used = time.perf_counter(), time.process_time()
        records = open_records(folder, on_corrupt="skip")
        wall, cpu = time.perf_counter() - start, time.process_time() - used
        if len(records.bad_rows) != damaged:
            raise SystemExit(
                f"{len(records.bad_rows)} damaged records found of {damaged}"
            )
    print(json.dumps({"wall": wall, "cpu": cpu}))


if __name__ == "__main__":
    main()
