"""The same global batch on 1 and on 2 replicas.

    python -m benchmarks.replicas --size mini

On GPUs each replica has one of its own. Without GPUs two logical CPUs share
the cores, so that two replicas can be no faster than one: what is measured is
what splitting the batch and adding up gradients cost. 1 and 2 take turns.
"""

import argparse
import statistics
import time

import numpy as np
import tensorflow as tf

from benchmarks.contenders.steps import make_batch
from tfbert.config import PRESETS, BertConfig
from tfbert.optimizers import AdamW
from tfbert.tasks import PretrainingTask
from trainers.distributed.strategies import Distribution, make_distribution
from trainers.step.options import Execution
from trainers.step.training_model import TrainingModel


def make_run(distribution: Distribution, options):
    """Returns a function that makes steps and gives the seconds of one."""
    config = BertConfig.preset(options.size)
    policy = "mixed_bfloat16" if options.dtype == "bfloat16" else "float32"
    with distribution.strategy.scope():
        model = TrainingModel(
            PretrainingTask(config, dtype=policy),
            execution=Execution(all_reduce_dtype=options.all_reduce_dtype),
        )
        model.compile(AdamW(1e-4))
    rows = options.batch // distribution.num_replicas
    predictions = round(0.15 * options.length)
    batch = make_batch(config, rows, options.length, predictions)
    batches = iter(
        distribution.dataset(
            lambda *_: tf.data.Dataset.from_tensors(batch).repeat()
        )
    )
    step = model.make_train_function()

    def run(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            loss = step(batches)["loss"]
        np.asarray(loss)
        return (time.perf_counter() - start) / steps

    run(2)
    return run


def main() -> None:
    """Lets both take turns and prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--size", default="mini", choices=PRESETS)
    add("--dtype", default="bfloat16", choices=["float32", "bfloat16"])
    add("--all_reduce_dtype", default="float32")
    add("--length", type=int, default=128)
    add("--batch", type=int, default=32, help="rows on all replicas together")
    add("--rounds", type=int, default=7)
    add("--steps", type=int, default=3, help="steps of a turn")
    options = parser.parse_args()
    two = make_distribution("mirrored", devices=2)
    one = Distribution(tf.distribute.OneDeviceStrategy(_device()), "one_device")
    runs = {1: make_run(one, options), 2: make_run(two, options)}
    times = {count: [] for count in runs}
    for _ in range(options.rounds):
        for count, run in runs.items():
            times[count].append(run(options.steps))
    medians = {count: statistics.median(t) for count, t in times.items()}
    for count, seconds in medians.items():
        tokens = options.batch * options.length / seconds
        print(
            f"{count} replica(s): {1000 * seconds:.1f} ms a step, "
            f"{tokens:,.0f} tokens/s ({seconds / medians[1]:.2f} x the time)"
        )


def _device() -> str:
    return "GPU:0" if tf.config.list_physical_devices("GPU") else "CPU:0"


if __name__ == "__main__":
    main()
