"""Any number of labels for a sentence or a pair of sentences."""

import keras
from keras import ops

from tfbert.config import BertConfig
from tfbert.layers.bert_layer import serializable
from tfbert.tasks.pooled import PooledTask
from tfbert.tasks.task import Batch, Outputs, example_weights


@serializable
class MultiLabelTask(PooledTask):
    """Dropout and a sigmoid for each label over the pooled output.

    The loss of an example is the mean of its labels' binary cross-entropies.

    Objective "loss" (weight: real examples), metric "label_accuracy" (share
    of right decisions, at probability one half).

    Args:
      config: the encoder's shape.
      num_classes: C, one is enough.
      dtype: Keras dtype or policy.
      seed: of the initial weights.
      window_pooling: of texts in windows, see PooledTask; None: a text is a
        row.
    """

    reads_windows = True

    def __init__(
        self,
        config: BertConfig,
        num_classes: int,
        dtype=None,
        seed: int = 0,
        name: str = "multi_label",
        window_pooling: str | None = None,
    ):
        head = "classifier"
        super().__init__(
            config,
            num_classes,
            head,
            window_pooling=window_pooling,
            dtype=dtype,
            seed=seed,
            name=name,
        )
        self.num_classes = num_classes

    def call(
        self, batch: Batch, training: bool = False, dropout_seed=None
    ) -> Outputs:
        """Returns logits and probabilities, both float32 [B, C]."""
        logits = self.head_outputs(batch, training, dropout_seed)
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

    def targets(self) -> dict[str, tuple[tuple[int, ...], str]]:
        return {"labels": ((self.num_classes,), "int32")}

    def get_config(self) -> dict:
        return {**super().get_config(), "num_classes": self.num_classes}
