"""Any number of labels for a sentence or a pair of sentences."""

import keras
from keras import ops

from tfbert.config import BertConfig
from tfbert.layers.bert_layer import serializable
from tfbert.tasks.task import (
    Batch,
    Outputs,
    Task,
    example_weights,
    token_inputs,
)


@serializable
class MultiLabelTask(Task):
    """Dropout and a sigmoid for each label over the pooled output.

    The loss of an example is the mean of its labels' binary cross-entropies.

    Objective "loss" (weight: real examples), metric "label_accuracy" (share
    of right decisions, at probability one half).

    Args:
      config: the encoder's shape.
      num_classes: C, one is enough.
      dtype: Keras dtype or policy.
      seed: of the initial weights.
    """

    def __init__(
        self,
        config: BertConfig,
        num_classes: int,
        dtype=None,
        seed: int = 0,
        name: str = "multi_label",
    ):
        super().__init__(config, dtype=dtype, seed=seed, name=name)
        self.num_classes = num_classes
        self.dropout = self.make_dropout("classifier")
        self.classifier = self.make_dense(num_classes, "classifier")
        self.build()

    def call(
        self, batch: Batch, training: bool = False, dropout_seed=None
    ) -> Outputs:
        """Returns logits and probabilities, both float32 [B, C]."""
        draw = {"training": training, "dropout_seed": dropout_seed}
        pooled = self.encoder(batch, **draw)["pooled_output"]  # [B, H]
        logits = self.classifier(self.dropout(pooled, **draw))
        logits = ops.cast(logits, "float32")
        return {"logits": logits, "probabilities": ops.sigmoid(logits)}

    def loss_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, keras.KerasTensor]:
        losses = keras.ops.binary_crossentropy(
            ops.cast(batch["labels"], "float32"),
            outputs["logits"],
            from_logits=True,
        )  # [B, C]
        losses = ops.mean(losses, axis=-1)
        return {"loss": ops.sum(losses * example_weights(batch))}

    def metric_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, tuple[keras.KerasTensor, keras.KerasTensor]]:
        chosen = ops.cast(outputs["logits"] > 0, "int32")
        right = ops.equal(chosen, ops.cast(batch["labels"], "int32"))
        share = ops.mean(ops.cast(right, "float32"), axis=-1)
        weights = example_weights(batch)
        return {"label_accuracy": (ops.sum(share * weights), ops.sum(weights))}

    def input_signature(
        self, batch_size: int | None, sequence_length: int = 128
    ) -> dict[str, keras.KerasTensor]:
        """Returns a symbolic batch."""
        signature = token_inputs(batch_size, sequence_length)
        shape = (batch_size, self.num_classes)
        signature["labels"] = keras.KerasTensor(shape, "int32")
        signature["is_real_example"] = keras.KerasTensor((batch_size,), "int32")
        return signature

    def get_config(self) -> dict:
        return {**super().get_config(), "num_classes": self.num_classes}
