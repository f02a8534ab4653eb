"""Dense: a matrix product with a bias."""

import operator

import keras
from keras import ops

from tfbert import fast_ops
from tfbert.config import BertConfig
from tfbert.layers.bert_layer import BertLayer, serializable


@serializable
class Dense(BertLayer):
    """x W + b over the last axis.

    Args:
      config: the model's shape (for the initialiser).
      inputs: width of x.
      outputs: width of the result.
    """

    def __init__(
        self,
        config: BertConfig,
        inputs: int,
        outputs: int,
        *,
        seed: int = 0,
        dtype=None,
        name=None,
    ):
        super().__init__(config, seed=seed, dtype=dtype, name=name)
        self.inputs = operator.index(inputs)
        self.outputs = operator.index(outputs)

    def build(self):
        self.kernel = self.add_matrix("kernel", (self.inputs, self.outputs))
        self.bias = self.add_weight(
            name="bias", shape=(self.outputs,), initializer="zeros"
        )

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Maps [..., inputs] to [..., outputs]."""
        return self._product(x, self.kernel, self.bias)

    def columns(
        self, x: keras.KerasTensor, start: int, stop: int
    ) -> keras.KerasTensor:
        """Some columns of the result alone: [..., stop - start]."""
        kernel = ops.cast(self.kernel, self.compute_dtype)[:, start:stop]
        bias = ops.cast(self.bias, self.compute_dtype)[start:stop]
        return self._product(x, kernel, bias)

    def _product(self, x, kernel, bias) -> keras.KerasTensor:
        shape = ops.shape(x)
        # One product of two matrices is what every backend does fastest.
        x = ops.reshape(x, (-1, self.inputs))
        x = fast_ops.add_bias(ops.matmul(x, kernel), bias)
        return ops.reshape(x, (*shape[:-1], kernel.shape[-1]))

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "inputs": self.inputs,
            "outputs": self.outputs,
        }
