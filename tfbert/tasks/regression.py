"""A number for a sentence or a pair of sentences."""

import keras
from keras import ops

from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.layers.bert_layer import serializable
from tfbert.score_limit import LARGEST_SCORE
from tfbert.tasks.pooled import PooledTask
from tfbert.tasks.task import Batch, Outputs, example_weights


@serializable
class RegressionTask(PooledTask):
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
      window_pooling: of texts in windows, see PooledTask; None: a text is a
        row.

    Raises:
      UserError: mean or scale are no numbers, or too large.
    """

    reads_windows = True

    def __init__(
        self,
        config: BertConfig,
        mean: float = 0.0,
        scale: float = 1.0,
        dtype=None,
        seed: int = 0,
        name: str = "regression",
        window_pooling: str | None = None,
    ):
        if not (abs(mean) <= LARGEST_SCORE and 0 < scale <= LARGEST_SCORE):
            raise UserError(
                "wanted the mean and the spread (above 0) of the scores to be "
                f"numbers that float32 holds squared, got {mean:g} and "
                f"{scale:g}; give the scores in another unit"
            )
        super().__init__(
            config,
            1,
            "regressor",
            window_pooling=window_pooling,
            dtype=dtype,
            seed=seed,
            name=name,
        )
        self.mean, self.scale = mean, scale

    def call(
        self, batch: Batch, training: bool = False, dropout_seed=None
    ) -> Outputs:
        """Returns scores, float32 [B]."""
        learnt = self.head_outputs(batch, training, dropout_seed)  # [B, 1]
        return {"scores": learnt[:, 0] * self.scale + self.mean}

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

    def targets(self) -> dict[str, tuple[tuple[int, ...], str]]:
        return {"scores": ((), "float32")}

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "mean": self.mean,
            "scale": self.scale,
        }
