"""One worker of test_step_workers: trains, evaluates, saves what it has.

Run with TF_CONFIG set for each of the workers, or without it as one device:
`python worker_steps.py OUTPUT.npz`.
"""

import sys

import numpy as np
import tensorflow as tf
from step_cases import CONFIG, STEPS, make_data, weights_of
from worker_processes import joined

from tfbert.optimizers import AdamW, WarmupLinearDecay
from tfbert.tasks.pretraining import PretrainingTask
from trainers.distributed.strategies import Distribution
from trainers.planning.budget import chiefs_value
from trainers.step.options import Rule
from trainers.step.training_model import TrainingModel

ROWS = 12  # A batch that two and three workers divide.


def main(output: str) -> None:
    """Trains STEPS steps on batches of ROWS rows."""
    strategy, worker = joined()
    alone, index = worker is None, worker or 0
    workers = strategy.num_replicas_in_sync
    with strategy.scope():
        model = TrainingModel(
            PretrainingTask(CONFIG, next_sentence=True, seed=3),
            rule=Rule(clip_norm=0.5, average_decay=0.9),
        )
        model.compile(AdamW(WarmupLinearDecay(1e-2, 5, 2 * STEPS)))

    def distributed(data):
        share = ROWS // workers
        mine = np.arange(len(data["input_ids"])) // share % workers == index
        part = {name: values[mine] for name, values in data.items()}
        dataset = tf.data.Dataset.from_tensor_slices(part)
        dataset = dataset.batch(share, drop_remainder=True)
        if alone:
            return dataset
        return strategy.distribute_datasets_from_function(lambda _: dataset)

    data = make_data(steps=STEPS * ROWS // 8)
    # In the eighth batch, the last row: the last worker's. All skip.
    data["masked_lm_weights"][8 * ROWS - 1, 0] = np.nan
    history = model.fit(
        distributed(data),
        steps_per_epoch=STEPS,
        verbose=0,
        shuffle=False,
    ).history
    if index == 0:
        with model.averaged():  # As the chief alone does when it saves.
            pass
    held_out = make_data(1, steps=3)
    # The second batch does not divide: five of its rows are padding.
    for name in ("masked_lm_weights", "input_mask"):
        held_out[name][-5:] = 0
    values = model.evaluate(distributed(held_out), steps=2)
    place = Distribution(strategy, "multi_worker", index, workers)
    np.savez(
        output,
        chiefs=chiefs_value(place, 7 + index),
        weights=weights_of(model),
        norm=history["gradient_norm"],
        **{f"evaluated/{name}": value for name, value in values.items()},
    )


if __name__ == "__main__":
    main(sys.argv[1])
