"""Dropout without state: a pure function of (seed, layer)."""

import hashlib

import keras
import numpy as np
from keras import ops

from tfbert import fast_ops


@keras.saving.register_keras_serializable("tfbert")
class Dropout(keras.layers.Layer):
    """Zeroes a share of the values and scales the rest.

    Which values are zeroed depends on `dropout_seed` and `salt` alone. Two
    layers with different salts draw independent masks from one seed, so one
    int32 [2] tensor made from (seed, step, micro-batch, replica) serves the
    whole model.

    Args:
      rate: share of zeroes, at least 0 and below 1.
      salt: fixed text that tells this layer from the model's other ones, for
        example "block_3/attention/output".
      **options: of every Keras layer: dtype, name.
    """

    def __init__(self, rate: float, salt: str, **options):
        super().__init__(**options)
        self.rate = rate
        self.salt = salt
        digest = hashlib.sha256(salt.encode()).digest()
        self._salt_words = np.frombuffer(digest[:8], np.int32)
        self.built = True

    def call(
        self,
        x: keras.KerasTensor,
        training: bool = False,
        dropout_seed: keras.KerasTensor | None = None,
    ) -> keras.KerasTensor:
        """Returns x, with a share of it zeroed when `training`.

        Args:
          x: floats of any shape.
          training: without it x is returned as it is and nothing is drawn.
          dropout_seed: int32 [2].

        Raises:
          ValueError: `training` without a seed.
        """
        if not training or self.rate == 0.0:
            return x
        if dropout_seed is None:
            raise ValueError(
                f"dropout ({self.rate}) in training needs a seed: pass "
                "dropout_seed=, an int32 tensor [2] that differs from step to "
                "step and from replica to replica, or build the model with "
                "dropout 0"
            )
        seed = ops.bitwise_xor(
            ops.convert_to_tensor(dropout_seed, "int32"), self._salt_words
        )
        return fast_ops.dropout(x, self.rate, seed)

    def get_config(self) -> dict:
        return {**super().get_config(), "rate": self.rate, "salt": self.salt}
