"""A loss of the user's own in the place of a task's."""

from collections.abc import Callable

import keras
from keras import ops

from tfbert.errors import UserError
from tfbert.tasks.classification import ClassificationTask
from tfbert.tasks.multi_label import MultiLabelTask
from tfbert.tasks.multiple_choice import MultipleChoiceTask
from tfbert.tasks.regression import RegressionTask
from tfbert.tasks.task import Task, example_weights
from tfbert.tasks.token_labelling import TokenLabellingTask, token_weights

# (labels, answers) -> losses, one for each example or word.
Loss = Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]

# Task -> (labels in the batch, answers among the outputs).
_NAMES = {
    ClassificationTask: ("label_ids", "logits"),  # [B], [B, C]
    MultiLabelTask: ("labels", "logits"),  # [B, C] both
    MultipleChoiceTask: ("label_ids", "logits"),  # [B], [B, K]
    RegressionTask: ("scores", "scores"),  # [B] both
    TokenLabellingTask: ("label_ids", "logits"),  # [B, S], [B, S, C]
}


def use_loss(task: Task, loss: Loss) -> None:
    """Lets a task learn from `loss`; rows that fill a batch count 0 still.

    Args:
      task: a task with labels and one kind of answer.
      loss: (labels, answers) -> losses, or a keras.losses.Loss. Labels and
        answers of classification are int [B] and logits float32 [B, C];
        losses [B]. Of labelled words they are [B, S], [B, S, C] and [B, S].

    Raises:
      UserError: the task is none of these, or `loss` cannot be called.
    """
    found = [names for of, names in _NAMES.items() if isinstance(task, of)]
    if not found:
        # That of vectors is computed apart; see tfbert.tasks.embedding.
        compares = getattr(task, "compares_examples", False)
        method = "example_losses" if compares else "loss_sums"
        raise UserError(
            f"a loss of (labels, answers) does not fit a "
            f"{type(task).__name__}; override {method} in a subclass of it, "
            "and give that as task_class"
        )
    if not callable(loss):
        raise UserError(
            "wanted loss to be a function of (labels, answers) or a "
            f"keras.losses.Loss, got {loss!r}"
        )
    labels, answers = found[0]
    compute = loss.call if isinstance(loss, keras.losses.Loss) else loss

    def loss_sums(batch, outputs):
        weights = _weights(task, batch)
        gold = batch[labels]
        if isinstance(task, TokenLabellingTask):
            gold = ops.maximum(gold, 0)  # Negative where no word begins.
        losses = ops.cast(compute(gold, outputs[answers]), "float32")
        if len(losses.shape) != len(weights.shape):
            raise UserError(
                f"wanted losses of shape {tuple(weights.shape)}, one for each "
                f"row or word, from loss, got {tuple(losses.shape)}; do not "
                "sum or average in it"
            )
        return {"loss": ops.sum(losses * weights)}

    task.loss_sums = loss_sums


def _weights(task: Task, batch) -> keras.KerasTensor:
    """[B] or [B, S]: 0 for what only fills the batch."""
    if isinstance(task, TokenLabellingTask):
        return token_weights(batch)
    if isinstance(task, ClassificationTask):
        return task.example_weights(batch)
    return example_weights(batch)
