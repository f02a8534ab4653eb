"""What a checkpoint every so many steps adds to the time of a step.

    python -m benchmarks.checkpoint_cost --size mini

Blocks of steps with and without one checkpoint take turns (A B A B). A block
with a checkpoint ends when it is on the disk, so that what is written beside
the training is counted in full, with what it takes from the steps. The
difference of the medians is what one checkpoint costs.
"""

import argparse
import itertools
import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf

from benchmarks.contenders.steps import make_batch
from tfbert.config import PRESETS, BertConfig
from tfbert.optimizers import AdamW
from tfbert.tasks import PretrainingTask
from trainers.checkpoints.checkpoints import Checkpoints
from trainers.step.training_model import TrainingModel


def main() -> None:
    """Measures and prints."""
    options = parse_arguments()
    config = BertConfig.preset(options.size)
    policy = "mixed_bfloat16" if options.dtype == "bfloat16" else "float32"
    model = TrainingModel(PretrainingTask(config, dtype=policy))
    model.compile(AdamW(1e-4))
    predictions = round(0.15 * options.length)
    batch = make_batch(config, options.batch, options.length, predictions)
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    step, numbers = model.make_train_function(), itertools.count(1)
    blocked, blocks = [], {True: [], False: []}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        checkpoints = Checkpoints(
            folder, keep=2, background=not options.foreground
        )

        def block(save: bool) -> float:
            start = time.perf_counter()
            for index in range(options.steps):
                np.asarray(step(batches)["loss"])
                if save and index == 0:
                    before = time.perf_counter()
                    checkpoints.save(model, next(numbers))
                    blocked.append(time.perf_counter() - before)
            checkpoints.wait()
            return time.perf_counter() - start

        block(save=True)
        for _ in range(options.rounds):
            for save in (False, True):
                blocks[save].append(block(save))
    without, with_one = (statistics.median(blocks[s]) for s in (False, True))
    seconds, cost = without / options.steps, with_one - without
    share = cost / (options.every * seconds)
    print(
        f"{options.size} {options.dtype}: {1000 * seconds:.0f} ms a step; a "
        f"checkpoint costs {1000 * cost:.0f} ms, of which the training waits "
        f"{1000 * statistics.median(blocked):.0f} ms; one every "
        f"{options.every} steps: {share:.2%} of the time"
    )


def parse_arguments() -> argparse.Namespace:
    """The options of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--size", default="mini", choices=PRESETS)
    add("--dtype", default="bfloat16", choices=["float32", "bfloat16"])
    add("--length", type=int, default=128)
    add("--batch", type=int, default=32)
    add("--steps", type=int, default=10, help="steps of a block")
    add("--every", type=int, default=100, help="steps between checkpoints")
    add("--rounds", type=int, default=5)
    add("--foreground", action="store_true", help="write before going on")
    add("--folder", default=None, help="where to write; a temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
