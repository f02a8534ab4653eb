"""The base of the layers: one config, one seed, variables with fixed names."""

import operator

import keras

from tfbert.config import BertConfig
from tfbert.layers.initializers import TruncatedNormal

serializable = keras.saving.register_keras_serializable("tfbert")
# Here, so that a config can be read where Keras is not wanted.
serializable(BertConfig)


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
        self.seed = operator.index(seed)

    def add_matrix(self, name: str, shape: tuple[int, ...], **options):
        """Adds a weight drawn from BERT's truncated normal distribution."""
        initializer = TruncatedNormal(
            self.config.initializer_range, self.seed, f"{self.path}/{name}"
        )
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, **options
        )

    def get_config(self) -> dict:
        parts = _parts(self)
        return {
            **super().get_config(),
            "config": self.config.to_dict(),
            "seed": self.seed,
            "frozen": [n for n, part in parts.items() if not part.trainable],
        }

    @classmethod
    def from_config(cls, config: dict):
        config = dict(config)
        config["config"] = BertConfig.from_dict(config["config"])
        trainable = config.pop("trainable", True)
        frozen = set(config.pop("frozen", ()))
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = keras.saving.deserialize_keras_object(
                config["dtype"]
            )
        layer = cls(**config)
        layer.trainable = trainable
        # From the outside in: to freeze a layer is to freeze what is in it.
        for name, part in _parts(layer).items():
            part.trainable = name not in frozen
        return layer


def _parts(layer: keras.layers.Layer, way: str = "") -> dict:
    """The layers with weights inside of one, by the way to them, outer first.

    Dropout has none, and its automatic name says nothing.
    """
    parts = {}
    for part in layer._layers:
        if isinstance(part, BertLayer):
            parts[way + part.name] = part
            parts |= _parts(part, f"{way}{part.name}/")
    return parts
