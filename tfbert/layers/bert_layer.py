"""The base of the layers: one config, one seed, variables with fixed names."""

import keras

from tfbert.config import BertConfig
from tfbert.layers.initializers import TruncatedNormal


class BertLayer(keras.layers.Layer):
    """A layer whose shape comes from a BertConfig.

    Subclasses create their sublayers in the constructor and all variables in
    `build()`, which takes no shapes. The outermost layer calls `build()` at
    the end of its constructor, so a variable's path is the way to it
    ("encoder/block_0/attention/output/kernel") whatever it is used in.

    Args:
      config: the model's shape.
      seed: of the initial weights.
      dtype: Keras dtype or policy, for example "mixed_bfloat16".
      name: fixed name of the layer.
    """

    def __init__(
        self, config: BertConfig, *, seed: int = 0, dtype=None, name=None
    ):
        super().__init__(dtype=dtype, name=name)
        self.config = config
        self.seed = seed

    def add_matrix(self, name: str, shape: tuple[int, ...], **options):
        """Adds a weight drawn from BERT's truncated normal distribution."""
        initializer = TruncatedNormal(
            self.config.initializer_range, self.seed, f"{self.path}/{name}"
        )
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, **options
        )

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "config": self.config.to_dict(),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict):
        config = dict(config)
        config["config"] = BertConfig.from_dict(config["config"])
        config.pop("trainable", None)
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = keras.saving.deserialize_keras_object(
                config["dtype"]
            )
        return cls(**config)
