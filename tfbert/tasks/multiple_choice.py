"""Which of several continuations, or answers, fits?"""

import keras
from keras import ops

from tfbert.batch_keys import TOKEN_KEYS
from tfbert.config import BertConfig
from tfbert.layers.bert_layer import serializable
from tfbert.tasks.pooled import PooledTask, label_accuracy
from tfbert.tasks.task import (
    NEVER,
    Batch,
    Outputs,
    check_segments,
    example_weights,
    sparse_cross_entropy,
)
from tfbert.tasks.text_windows import WINDOW_VECTORS


def among_choices(
    scores: keras.KerasTensor, choice_mask: keras.KerasTensor
) -> Outputs:
    """The outputs of a task whose choices have these scores.

    Args:
      scores: [B K, 1], in the order of the questions and their choices.
      choice_mask: integers [B, K], 0 for choices that there are not.

    Returns:
      logits and probabilities, both float32 [B, K]; a choice that there is
      not has probability 0, also where a question has none at all.
    """
    logits = ops.reshape(ops.cast(scores, "float32"), ops.shape(choice_mask))
    there = ops.cast(choice_mask, "bool")
    logits = ops.where(there, logits, NEVER)
    probabilities = ops.where(there, ops.softmax(logits, axis=-1), 0.0)
    return {"logits": logits, "probabilities": probabilities}


@serializable
class MultipleChoiceTask(PooledTask):
    """A score for each pair of question and choice, softmax over the choices.

    As BERT is fine-tuned for SWAG (Devlin et al., 4.4). Tokens have the shape
    [B, K, S] for K choices, or in windows [B, K, W, S]; `choice_mask` [B, K]
    is 0 for those that an example does not have.

    Objective "loss" (weight: real examples), metric "accuracy".

    Args:
      config: the encoder's shape.
      dtype: Keras dtype or policy.
      seed: of the initial weights.
      window_pooling: of texts in windows, see PooledTask; None: a text is a
        row.

    Raises:
      UserError: the config has one segment only.
    """

    reads_windows = True

    def __init__(
        self,
        config: BertConfig,
        dtype=None,
        seed: int = 0,
        name: str = "multiple_choice",
        window_pooling: str | None = None,
    ):
        check_segments(config, "multiple choice")
        super().__init__(
            config,
            1,
            "scorer",
            window_pooling=window_pooling,
            dtype=dtype,
            seed=seed,
            name=name,
        )

    def call(
        self, batch: Batch, training: bool = False, dropout_seed=None
    ) -> Outputs:
        """Returns logits and probabilities, both float32 [B, K]."""
        rows = batch
        if WINDOW_VECTORS not in batch:
            rows = self._rows_of_choices(batch)
        scores = self.head_outputs(rows, training, dropout_seed)  # [B K, 1]
        return among_choices(scores, batch["choice_mask"])

    def _rows_of_choices(self, batch: Batch) -> Batch:
        """The tokens of all choices, [B K, S] or in windows [B K, W, S]."""
        shape = ops.shape(batch["input_ids"])[2:]
        rows = {n: ops.reshape(batch[n], (-1, *shape)) for n in TOKEN_KEYS}
        if self.encoder.skip_padding or len(shape) > 1:
            # Of a choice that there is not, all is padding.
            there = ops.cast(batch["choice_mask"], rows["input_mask"].dtype)
            ones = (1,) * len(shape)
            rows["input_mask"] *= ops.reshape(there, (-1, *ones))
        return rows

    def loss_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, keras.KerasTensor]:
        losses = sparse_cross_entropy(outputs["logits"], batch["label_ids"])
        return {"loss": ops.sum(losses * example_weights(batch))}

    def metric_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, tuple[keras.KerasTensor, keras.KerasTensor]]:
        return label_accuracy(batch, outputs)

    def input_signature(
        self,
        batch_size: int | None,
        sequence_length: int = 128,
        choices: int = 4,
        windows: int = 2,
    ) -> dict[str, keras.KerasTensor]:
        """Returns a symbolic batch, of windows if the task pools them."""
        shape = (sequence_length,)
        if self.window_pooling:
            shape = (windows, sequence_length)
        shapes = {name: (batch_size, choices, *shape) for name in TOKEN_KEYS}
        shapes["choice_mask"] = (batch_size, choices)
        shapes |= {"label_ids": (batch_size,), "is_real_example": (batch_size,)}
        return {n: keras.KerasTensor(s, "int32") for n, s in shapes.items()}
