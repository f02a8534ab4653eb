"""How long `fit` and `evaluate` go on after their last batch.

    iterator_end.py RECORDS SECONDS...

A tf.data iterator that is dropped may wait for tf.data's autotuner, which
wakes up 10 (2^k - 1) ms after the start. So `fit` runs for about as many
seconds, and what it does behind its last step is timed; then `evaluate`. Of
several lengths the longest wait counts.
"""

import json
import sys
import time

import keras

from benchmarks.builds.probes import training
from benchmarks.builds.probes.defined import defined

BATCH, SEED = 16, 0


class LastBatch(keras.callbacks.Callback):
    """When the last batch was through."""

    at = 0.0

    def on_train_batch_end(self, batch, logs=None):
        self.at = time.perf_counter()

    def on_test_batch_end(self, batch, logs=None):
        self.at = time.perf_counter()


def main() -> None:
    """Trains, evaluates, prints the seconds waited."""
    path, lengths = sys.argv[1], [float(word) for word in sys.argv[2:]]
    records_class, masking_class, training_batches = defined(
        "tfrecords", "Records", "Masking", "pretraining_batches"
    )
    records = records_class(path)
    model, _ = training.compiled(
        "tiny", "float32", vocab_size=len(records.vocabulary)
    )
    batches = training_batches(
        records,
        masking_class(max_predictions=5),
        seed=SEED,
        global_batch_size=BATCH,
    )

    def waited(run, steps: int) -> float:
        last = LastBatch()
        run(steps, last)
        return time.perf_counter() - last.at

    def fit(steps, last):
        model.fit(
            batches,
            steps_per_epoch=steps,
            verbose=0,
            shuffle=False,
            callbacks=[last],
        )

    def evaluate(steps, last):
        model.evaluate(batches, steps=steps, verbose=0, callbacks=[last])

    found = {}
    for name, run in (("fit", fit), ("evaluate", evaluate)):
        waited(run, 2)  # compiles
        start = time.perf_counter()
        waits = waited(run, 20)
        step = (time.perf_counter() - start - waits) / 20
        found[name] = max(
            waited(run, max(round(seconds / step), 1)) for seconds in lengths
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
