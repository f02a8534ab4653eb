"""What a token of a text in windows costs beside one of plain rows.

    python -m benchmarks.long_texts --preset mini --length 128

The same training step and the same number of tokens in each batch: as plain
rows, as texts of several windows of the same length, and as texts of which one
has most windows. Processor time of all threads, turns A B C A B C; the data
pipeline is part of it.
"""

import argparse
import statistics
import time

import numpy as np

from tfbert.config import BertConfig
from tfbert.optimizers import AdamW
from tfbert.tasks import ClassificationTask
from tfrecords.labelled.batches import training_batches
from tfrecords.labelled.encoded import WindowRows
from trainers.step.training_model import TrainingModel

# Windows of the texts of a batch of 32 rows.
BATCHES = {
    "rows": None,
    "texts of 8 windows": [8] * 4,
    "one text of 25 windows, seven of one": [25, *[1] * 7],
}
ROWS = 32


def make_columns(counts: list[int] | None, length: int, vocab_size: int):
    """One batch, whose rows are all full."""
    draw = np.random.default_rng(0)
    ids = draw.integers(5, vocab_size, (ROWS, length)).astype(np.int32)
    rows = {
        "input_ids": ids,
        "input_mask": np.ones(ids.shape, np.int8),
        "segment_ids": np.zeros(ids.shape, np.int8),
    }
    examples = ROWS
    if counts is not None:
        examples = len(counts)
        windows = np.array(counts)
        rows = {name: WindowRows(row, windows) for name, row in rows.items()}
    labels = draw.integers(0, 2, examples).astype(np.int32)
    return {**rows, "label_ids": labels}


def make_step(config: BertConfig, counts: list[int] | None, length: int):
    """A function that trains one step."""
    pooling = None if counts is None else "attention"
    task = ClassificationTask(config, 2, window_pooling=pooling)
    task.encoder.skip_padding = True
    model = TrainingModel(task)
    model.compile(AdamW(1e-5))
    columns = make_columns(counts, length, config.vocab_size)
    size = len(columns["label_ids"])
    batches = iter(training_batches(columns, seed=0, global_batch_size=size))
    step = model.make_train_function()
    return lambda: float(np.asarray(step(batches)["tokens"]))


def main() -> None:
    """Prints processor time for each thousand tokens."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--turns", type=int, default=7)
    args = parser.parse_args()
    config = BertConfig.preset(args.preset)
    steps = {
        name: make_step(config, counts, args.length)
        for name, counts in BATCHES.items()
    }
    seconds = {name: [] for name in steps}
    for turn in range(1 + args.turns):
        for name, step in steps.items():
            before = time.process_time()
            tokens = step()
            if turn:
                seconds[name].append((time.process_time() - before) / tokens)
    plain = statistics.median(seconds["rows"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(
            f"{name}: {median * 1e6:.1f} ms of processor time for 1,000 "
            f"tokens, {median / plain:.3f} x"
        )


if __name__ == "__main__":
    main()
