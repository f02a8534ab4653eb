"""Layer normalisation (Ba et al. 2016) over the last axis."""

import keras
from keras import ops

from tfbert.config import BertConfig
from tfbert.layers.bert_layer import BertLayer, serializable


@serializable
class LayerNorm(BertLayer):
    """gamma (x - mean) / sqrt(variance + eps) + beta, in float32 inside.

    The name must hold "layer_norm": the optimizer leaves gamma and beta out
    of weight decay by it.
    """

    def __init__(
        self,
        config: BertConfig,
        *,
        seed: int = 0,
        dtype=None,
        name: str = "layer_norm",
    ):
        super().__init__(config, seed=seed, dtype=dtype, name=name)

    def build(self):
        shape = (self.config.hidden_size,)
        # Not autocast: the result is rounded once, at the end.
        self.gamma = self.add_weight(
            name="gamma", shape=shape, initializer="ones", autocast=False
        )
        self.beta = self.add_weight(
            name="beta", shape=shape, initializer="zeros", autocast=False
        )

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Normalises x [..., H]."""
        x = ops.cast(x, "float32")
        centred = ops.subtract(x, ops.mean(x, axis=-1, keepdims=True))
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        scale = ops.rsqrt(ops.add(variance, self.config.layer_norm_eps))
        y = ops.multiply(ops.multiply(centred, scale), self.gamma)
        return ops.cast(ops.add(y, self.beta), self.compute_dtype)
