"""The position-wise feed-forward sublayer."""

import keras

from tfbert.config import BertConfig
from tfbert.layers.activations import ACTIVATIONS
from tfbert.layers.bert_layer import BertLayer, serializable
from tfbert.layers.dense import Dense


@serializable
class FeedForward(BertLayer):
    """activation(x W_1 + b_1) W_2 + b_2 (Vaswani et al. 2017, section 3.3)."""

    def __init__(
        self,
        config: BertConfig,
        *,
        seed: int = 0,
        dtype=None,
        name: str = "feed_forward",
    ):
        super().__init__(config, seed=seed, dtype=dtype, name=name)
        width, inner = config.hidden_size, config.intermediate_size
        options = {"seed": seed, "dtype": self.dtype_policy}
        self.intermediate = Dense(
            config, width, inner, name="intermediate", **options
        )
        self.output_dense = Dense(
            config, inner, width, name="output", **options
        )
        self.activation = ACTIVATIONS[config.hidden_act]

    def build(self):
        self.intermediate.build()
        self.output_dense.build()

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Maps [B, S, H] to [B, S, H]."""
        return self.output_dense(self.activation(self.intermediate(x)))
