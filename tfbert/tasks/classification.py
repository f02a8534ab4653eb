"""Classification of a sentence or a pair of sentences."""

import math
from collections.abc import Sequence

import keras
from keras import ops

from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.layers.bert_layer import serializable
from tfbert.tasks.pooled import PooledTask, label_accuracy
from tfbert.tasks.task import (
    Batch,
    Outputs,
    example_weights,
    sparse_cross_entropy,
)


@serializable
class ClassificationTask(PooledTask):
    """Dropout and a softmax over the pooled output (Devlin et al., 4.1).

    Objective "loss" (weight: real examples, each times the weight of its
    class), metric "accuracy".

    Args:
      config: the encoder's shape.
      num_classes: C.
      class_weights: [C], how much the examples of a class count in the loss;
        None: 1.
      dtype: Keras dtype or policy.
      seed: of the initial weights.
      window_pooling: of texts in windows, see PooledTask; None: a text is a
        row.

    Raises:
      UserError: fewer than two classes, or weights that are not one number
        above 0 for each.
    """

    reads_windows = True

    def __init__(
        self,
        config: BertConfig,
        num_classes: int,
        class_weights: Sequence[float] | None = None,
        dtype=None,
        seed: int = 0,
        name: str = "classification",
        window_pooling: str | None = None,
    ):
        if num_classes < 2:
            raise UserError(
                f"classification needs at least two classes, got {num_classes};"
                " check the label column"
            )
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
        self.class_weights = None
        if class_weights is not None:
            self.class_weights = _checked(class_weights, num_classes)

    def call(
        self, batch: Batch, training: bool = False, dropout_seed=None
    ) -> Outputs:
        """Returns logits and probabilities, both float32 [B, C]."""
        logits = self.head_outputs(batch, training, dropout_seed)
        return {
            "logits": logits,
            "probabilities": ops.softmax(logits, axis=-1),
        }

    def example_weights(self, batch: Batch) -> keras.KerasTensor:
        """float32 [B]: 0 for rows that only fill a batch, else the class's."""
        weights = example_weights(batch)
        if self.class_weights is None:
            return weights
        of_class = ops.convert_to_tensor(self.class_weights, "float32")
        return weights * ops.take(of_class, batch["label_ids"])

    def loss_weights(self, batch: Batch) -> dict[str, keras.KerasTensor]:
        return {"loss": ops.sum(self.example_weights(batch))}

    def loss_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, keras.KerasTensor]:
        losses = sparse_cross_entropy(outputs["logits"], batch["label_ids"])
        return {"loss": ops.sum(losses * self.example_weights(batch))}

    def metric_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, tuple[keras.KerasTensor, keras.KerasTensor]]:
        return label_accuracy(batch, outputs)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "class_weights": self.class_weights,
        }


def _checked(weights: Sequence[float], num_classes: int) -> list[float]:
    try:
        given = [float(weight) for weight in weights]
    except (TypeError, ValueError):
        given = []
    good = all(0 < weight < math.inf for weight in given)
    if len(given) != num_classes or not good:
        raise UserError(
            f"wanted class_weights of {num_classes} finite numbers above 0, "
            f"one for each class, got {weights!r}"
        )
    return given
