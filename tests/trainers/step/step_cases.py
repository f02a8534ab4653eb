"""A tiny model and its batches, for the tests of the training step.

Rows hold unequal numbers of masked tokens, and half of the replicas none.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

import tfbert
from tfbert.optimizers import AdamW, WarmupLinearDecay
from tfbert.tasks.pretraining import PretrainingTask
from tfrecords.batches.options import with_options
from trainers.step.options import Execution, Rule
from trainers.step.training_model import TrainingModel

BATCH, LENGTH, PREDICTIONS, STEPS = 8, 12, 4, 20
CONFIG = tfbert.BertConfig(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    max_position_embeddings=16,
)


def make_data(seed=0, steps=STEPS):
    """Batches whose rows hold unequal numbers of masked tokens."""
    rng = np.random.default_rng(seed)
    shape = (steps * BATCH, LENGTH)
    lengths = rng.integers(5, LENGTH + 1, (steps * BATCH, 1))
    mask = (np.arange(LENGTH) < lengths).astype("int32")
    masked = rng.integers(0, PREDICTIONS + 1, (steps * BATCH, 1))
    masked[::BATCH] = PREDICTIONS
    masked[BATCH // 2 :: BATCH] = 0
    positions = np.stack(
        [rng.permutation(4)[:PREDICTIONS] for _ in range(steps * BATCH)]
    )
    weights = (np.arange(PREDICTIONS) < masked).astype("float32")
    return {
        "input_ids": rng.integers(5, 50, shape).astype("int32") * mask,
        "input_mask": mask,
        "segment_ids": rng.integers(0, 2, shape).astype("int32"),
        "masked_lm_positions": positions.astype("int32"),
        "masked_lm_ids": rng.integers(5, 50, positions.shape).astype("int32"),
        "masked_lm_weights": weights,
        "next_sentence_labels": rng.integers(0, 2, steps * BATCH).astype(
            "int32"
        ),
    }


def make_strategy(replicas):
    if replicas == 1:
        return tf.distribute.get_strategy()
    # One process can hold several groups of logical CPUs only if collectives
    # do not need a group key for each.
    return tf.distribute.MirroredStrategy(
        [f"CPU:{index}" for index in range(replicas)],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


def training_model(task, model_class=TrainingModel, **options):
    """A TrainingModel by the bare names of what its Rule and Execution hold."""
    parts = {}
    for name, kind in (("rule", Rule), ("execution", Execution)):
        names = {field.name for field in dataclasses.fields(kind)}
        own = {key: options.pop(key) for key in names & set(options)}
        parts[name] = kind(**own)
    return model_class(task, **parts, **options)


def make_model(
    replicas=1,
    config=CONFIG,
    steps_per_execution=1,
    make_optimizer=lambda: AdamW(WarmupLinearDecay(1e-2, 5, 2 * STEPS)),
    task_class=PretrainingTask,
    dtype=None,
    **options,
):
    options.setdefault("clip_norm", 0.5)
    with make_strategy(replicas).scope():
        model = training_model(
            task_class(config, next_sentence=True, seed=3, dtype=dtype),
            **options,
        )
        model.compile(
            make_optimizer(),
            steps_per_execution=steps_per_execution,
        )
    return model


def batches(model, data):
    """Batches of each replica in order, distributed."""
    strategy = model.distribute_strategy
    dataset = tf.data.Dataset.from_tensor_slices(data)
    dataset = dataset.batch(
        BATCH // strategy.num_replicas_in_sync, drop_remainder=True
    )
    dataset = with_options(dataset)
    if strategy.num_replicas_in_sync == 1:
        return dataset
    return strategy.distribute_datasets_from_function(lambda _: dataset)


def run(data=None, epochs=2, **options):
    """Trains STEPS steps; returns (history, weights as one vector)."""
    model = make_model(**options)
    data = make_data() if data is None else data
    distributed = batches(model, data)
    history = model.fit(
        distributed,
        epochs=epochs,
        steps_per_epoch=STEPS // epochs,
        validation_data=distributed,
        validation_steps=5,
        verbose=0,
        shuffle=False,
    ).history
    # A time, and so never the same.
    del history["data_wait"]
    return history, weights_of(model)


def weights_of(model):
    return np.concatenate(
        [keras.ops.convert_to_numpy(v).ravel() for v in model.task.weights]
    )
