"""tfbert, as a bare step and as TrainingModel.fit."""

import tensorflow as tf

from benchmarks.contenders import steps
from tfbert.config import BertConfig
from tfbert.optimizers import AdamW
from tfbert.tasks import PretrainingTask


def step(config: BertConfig, policy: str, batch: dict) -> steps.Run:
    """Forward pass, backward pass, AdamW."""
    task = PretrainingTask(config, dtype=policy)
    batch = {name: tf.constant(value) for name, value in batch.items()}
    # The pooler gets no gradient without next-sentence prediction.
    variables = [
        v for v in task.trainable_variables if "/pooler/" not in v.path
    ]
    optimizer = _optimizer()
    optimizer.build(variables)

    def forward(index):
        seed = tf.stack([1, index])
        outputs = task(batch, training=True, dropout_seed=seed)
        sums, weights = task.loss_sums(batch, outputs), task.loss_weights(batch)
        return sum(sums[name] / weights[name] for name in sums)

    return steps.run_step(forward, variables, optimizer.apply)


def fit(config: BertConfig, policy: str, batch: dict) -> steps.Run:
    """What `tfbert pretrain` runs: clipping, norms and counts included."""
    from trainers.step.training_model import TrainingModel

    model = TrainingModel(PretrainingTask(config, dtype=policy))
    model.compile(_optimizer())
    return steps.run_fit(model, batch)


def _optimizer() -> AdamW:
    return AdamW(
        steps.LEARNING_RATE, weight_decay=steps.DECAY, epsilon=steps.EPSILON
    )
