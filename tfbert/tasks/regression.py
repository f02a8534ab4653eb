"""A number for a sentence or a pair of sentences."""

import keras
from keras import ops

from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.layers.bert_layer import serializable
from tfbert.score_limit import LARGEST_SCORE
from tfbert.tasks.task import (
    Batch,
    Outputs,
    Task,
    example_weights,
    token_inputs,
)


@serializable
class RegressionTask(Task):
    """Dropout and a linear output over the pooled output, squared error.

    As BERT is fine-tuned for STS-B (Devlin et al., 4.1). What the head
    learns is (score - mean) / scale, so that learning rates do not depend on
    the unit of the scores.

    Objective "loss" (weight: real examples): the squared error in units of
    scale^2. Metric "mse": in the scores' own unit.

    Args:
      config: the encoder's shape.
      mean: of the training scores.
      scale: their standard deviation.
      dtype: Keras dtype or policy.
      seed: of the initial weights.

    Raises:
      UserError: mean or scale are no numbers, or too large.
    """

    def __init__(
        self,
        config: BertConfig,
        mean: float = 0.0,
        scale: float = 1.0,
        dtype=None,
        seed: int = 0,
        name: str = "regression",
    ):
        super().__init__(config, dtype=dtype, seed=seed, name=name)
        if not (abs(mean) <= LARGEST_SCORE and 0 < scale <= LARGEST_SCORE):
            raise UserError(
                "wanted the mean and the spread (above 0) of the scores to be "
                f"numbers that float32 holds squared, got {mean:g} and "
                f"{scale:g}; give the scores in another unit"
            )
        self.mean, self.scale = mean, scale
        self.dropout = self.make_dropout("regressor")
        self.regressor = self.make_dense(1, "regressor")
        self.build()

    def call(
        self, batch: Batch, training: bool = False, dropout_seed=None
    ) -> Outputs:
        """Returns scores, float32 [B]."""
        draw = {"training": training, "dropout_seed": dropout_seed}
        pooled = self.encoder(batch, **draw)["pooled_output"]  # [B, H]
        learnt = self.regressor(self.dropout(pooled, **draw))  # [B, 1]
        learnt = ops.cast(learnt, "float32")[:, 0]
        return {"scores": learnt * self.scale + self.mean}

    def loss_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, keras.KerasTensor]:
        errors = (outputs["scores"] - batch["scores"]) / self.scale
        return {"loss": ops.sum(errors**2 * example_weights(batch))}

    def metric_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, tuple[keras.KerasTensor, keras.KerasTensor]]:
        weights = example_weights(batch)
        errors = (outputs["scores"] - batch["scores"]) ** 2
        return {"mse": (ops.sum(errors * weights), ops.sum(weights))}

    def input_signature(
        self, batch_size: int | None, sequence_length: int = 128
    ) -> dict[str, keras.KerasTensor]:
        """Returns a symbolic batch."""
        signature = token_inputs(batch_size, sequence_length)
        signature["scores"] = keras.KerasTensor((batch_size,), "float32")
        signature["is_real_example"] = keras.KerasTensor((batch_size,), "int32")
        return signature

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "mean": self.mean,
            "scale": self.scale,
        }
