"""One worker of test_vector_workers: trains on vectors, saves its weights.

Run with TF_CONFIG set for each of the workers, or without it as one device:
`python worker_vectors.py OUTPUT.npz`.
"""

import sys

import keras
import numpy as np
import tensorflow as tf
from step_cases import CONFIG, weights_of
from worker_processes import joined

from tfbert.tasks.embedding import EmbeddingTask
from tfrecords.batches.options import with_options
from trainers.step.options import Execution
from trainers.step.training_model import TrainingModel

ROWS, LENGTH, STEPS = 8, 10, 3


def main(output: str) -> None:
    """Trains STEPS steps on batches of ROWS pairs."""
    strategy, worker = joined()
    alone, index = worker is None, worker or 0
    with strategy.scope():
        model = TrainingModel(
            EmbeddingTask(CONFIG, seed=3),
            execution=Execution(accumulation_steps=1 if alone else 2),
        )
        model.compile(keras.optimizers.SGD(0.1))
    rng = np.random.default_rng(0)
    shape = (STEPS * ROWS, 2, LENGTH)
    data = {
        "input_ids": rng.integers(5, 50, shape).astype("int32"),
        "input_mask": np.ones(shape, "int32"),
        "segment_ids": np.zeros(shape, "int32"),
        "text_keys": np.arange(2 * STEPS * ROWS, dtype="int32").reshape(-1, 2),
        "is_real_example": np.ones(STEPS * ROWS, "int32"),
    }
    share = ROWS // strategy.num_replicas_in_sync
    mine = np.arange(STEPS * ROWS) // share % (ROWS // share) == index
    part = {name: values[mine] for name, values in data.items()}
    # Endless, so that shapes stay static under a strategy.
    dataset = tf.data.Dataset.from_tensor_slices(part).repeat()
    dataset = with_options(dataset.batch(share, drop_remainder=True))
    batches = dataset
    if not alone:
        batches = strategy.distribute_datasets_from_function(lambda _: dataset)
    history = model.fit(
        batches, steps_per_epoch=STEPS, verbose=0, shuffle=False
    ).history
    np.savez(output, weights=weights_of(model), loss=history["loss"])


if __name__ == "__main__":
    main(sys.argv[1])
