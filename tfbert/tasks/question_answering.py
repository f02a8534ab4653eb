"""Extractive question answering: where in the context does the answer stand?"""

import keras
from keras import ops

from tfbert.config import BertConfig
from tfbert.layers.bert_layer import serializable
from tfbert.tasks.task import (
    NEVER,
    Batch,
    Outputs,
    Task,
    accuracy_sums,
    check_segments,
    example_weights,
    sparse_cross_entropy,
    token_inputs,
)


@serializable
class QuestionAnsweringTask(Task):
    """A start and an end logit of each token (Devlin et al., 4.2 and 4.3).

    An answer begins and ends at tokens of the second text (the context), or,
    where there is none, both times at [CLS]. Other places have the logit
    NEVER, so that no probability is lost to them. The loss of a row is the
    mean of the two cross-entropies.

    Objective "loss" (weight: real rows), metric "span_accuracy" (start and
    end both right).

    Args:
      config: the encoder's shape.
      dtype: Keras dtype or policy.
      seed: of the initial weights.

    Raises:
      UserError: the config has one segment only.
    """

    def __init__(
        self,
        config: BertConfig,
        dtype=None,
        seed: int = 0,
        name: str = "question_answering",
    ):
        super().__init__(config, dtype=dtype, seed=seed, name=name)
        check_segments(config, "question answering")
        self.span = self.make_dense(2, "span")
        self.build()

    def call(
        self, batch: Batch, training: bool = False, dropout_seed=None
    ) -> Outputs:
        """Returns start_logits and end_logits, both float32 [B, S]."""
        logits = self.encoder(
            batch, training=training, dropout_seed=dropout_seed, head=self.span
        )["head_output"]
        logits = ops.cast(logits, "float32")  # [B, S, 2]
        ids = batch["input_ids"]
        places = ops.arange(ops.shape(ids)[1], dtype="int32")  # [S]
        real = ops.cast(ops.not_equal(batch["input_mask"], 0), "int32")
        # The last token is [SEP], of the context's segment and no answer.
        last = ops.sum(real, axis=1, keepdims=True) - 1  # [B, 1]
        context = ops.logical_and(
            ops.less(places, last), ops.not_equal(batch["segment_ids"], 0)
        )
        at_cls = ops.equal(places, 0)
        allowed = ops.logical_or(context, at_cls)  # [B, S]
        return {
            "start_logits": ops.where(allowed, logits[:, :, 0], NEVER),
            "end_logits": ops.where(allowed, logits[:, :, 1], NEVER),
        }

    def loss_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, keras.KerasTensor]:
        starts = sparse_cross_entropy(
            outputs["start_logits"], batch["start_positions"]
        )
        ends = sparse_cross_entropy(
            outputs["end_logits"], batch["end_positions"]
        )
        losses = (starts + ends) / 2.0
        return {"loss": ops.sum(losses * example_weights(batch))}

    def metric_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, tuple[keras.KerasTensor, keras.KerasTensor]]:
        right = ops.logical_and(
            *(
                ops.equal(
                    ops.cast(ops.argmax(outputs[f"{end}_logits"], -1), "int32"),
                    ops.cast(batch[f"{end}_positions"], "int32"),
                )
                for end in ("start", "end")
            )
        )
        ones = ops.ones_like(batch["start_positions"])
        weights = example_weights(batch)
        return {"span_accuracy": accuracy_sums(right, ones, weights)}

    def input_signature(
        self, batch_size: int | None, sequence_length: int = 384
    ) -> dict[str, keras.KerasTensor]:
        """Returns a symbolic batch."""
        signature = token_inputs(batch_size, sequence_length)
        for name in ("start_positions", "end_positions", "is_real_example"):
            signature[name] = keras.KerasTensor((batch_size,), "int32")
        return signature
