"""Processor time of a training step of `TrainingModel.fit`.

    step.py SIZE DTYPE

Steps of 32 rows of 128 tokens, in blocks; the median of the blocks counts.
"""

import json
import statistics
import sys
import time

import keras

from benchmarks.builds.probes import training

ROWS, LENGTH, PREDICTIONS = 32, 128, 20
BLOCKS = 5
# Of one block: 2 to 4 seconds of processor.
STEPS = {"tiny": 15, "mini": 5}


class Blocks(keras.callbacks.Callback):
    """Wall and processor seconds of each epoch."""

    def __init__(self):
        super().__init__()
        self.taken = []

    def on_epoch_begin(self, epoch, logs=None):
        self._begun = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter(), time.process_time()
        self.taken.append((now[0] - self._begun[0], now[1] - self._begun[1]))


def main() -> None:
    """Trains and prints the figures."""
    size, dtype = sys.argv[1:]
    model, config = training.compiled(size, dtype)
    blocks, steps = Blocks(), STEPS[size]
    model.fit(
        training.repeated(config, ROWS, LENGTH, PREDICTIONS),
        steps_per_epoch=steps,
        epochs=1 + BLOCKS,
        verbose=0,
        shuffle=False,
        callbacks=[blocks],
    )
    # The first block compiles.
    walls, cpus = zip(*blocks.taken[1:], strict=True)
    print(
        json.dumps(
            {
                "wall_ms": 1e3 * statistics.median(walls) / steps,
                "cpu_ms": 1e3 * statistics.median(cpus) / steps,
            }
        )
    )


if __name__ == "__main__":
    main()
