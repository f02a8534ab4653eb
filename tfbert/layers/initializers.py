"""Initial weights as a pure function of (seed, the variable's name)."""

import hashlib

import keras
import numpy as np


@keras.saving.register_keras_serializable("tfbert")
class TruncatedNormal(keras.initializers.Initializer):
    """A normal distribution cut at two standard deviations.

    BERT's `truncated_normal_initializer`: `stddev` is that of the normal
    before it is cut, so the values' own is 0.8796 times as large. The values
    depend on `seed` and `name` alone: not on the backend, the device, the
    number of replicas, or what was created before.

    Args:
      stddev: standard deviation before truncation.
      seed: integer.
      name: the variable's path, for example "encoder/pooler/kernel".
    """

    def __init__(self, stddev: float = 0.02, seed: int = 0, name: str = ""):
        self.stddev = stddev
        self.seed = seed
        self.name = name

    def __call__(self, shape, dtype=None):
        digest = hashlib.sha256(f"{self.seed}:{self.name}".encode()).digest()
        key = np.frombuffer(digest[:16], np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key))
        values = generator.standard_normal(shape, np.float32)
        outside = np.flatnonzero(np.abs(values) > 2.0)
        while outside.size:
            values.flat[outside] = generator.standard_normal(
                outside.size, np.float32
            )
            outside = outside[np.abs(values.flat[outside]) > 2.0]
        return keras.ops.convert_to_tensor(values * self.stddev, dtype=dtype)

    def get_config(self) -> dict:
        return {"stddev": self.stddev, "seed": self.seed, "name": self.name}
