"""Multi-head self-attention (Vaswani et al. 2017, section 3.2)."""

import math

import keras
from keras import ops

from tfbert.config import BertConfig
from tfbert.layers.bert_layer import BertLayer, serializable
from tfbert.layers.dense import Dense
from tfbert.layers.dropout import Dropout
from tfbert.layers.places import take_places


@serializable
class SelfAttention(BertLayer):
    """softmax(Q K^T / sqrt(D) + bias) V, with one projection for Q, K and V.

    The columns of `query_key_value` are Q, K, V in this order, each with its
    heads one after the other.
    """

    def __init__(
        self,
        config: BertConfig,
        *,
        seed: int = 0,
        dtype=None,
        salt: str = "attention",
        name: str = "attention",
    ):
        super().__init__(config, seed=seed, dtype=dtype, name=name)
        self.salt = salt
        width = config.hidden_size
        options = {"seed": seed, "dtype": self.dtype_policy}
        self.query_key_value = Dense(
            config, width, 3 * width, name="query_key_value", **options
        )
        self.output_dense = Dense(
            config, width, width, name="output", **options
        )
        self.dropout = Dropout(
            config.attention_probs_dropout_prob,
            f"{salt}/probabilities",
            dtype=self.dtype_policy,
        )

    def build(self):
        self.query_key_value.build()
        self.output_dense.build()

    def call(
        self,
        x: keras.KerasTensor,
        attention_bias: keras.KerasTensor,
        training: bool = False,
        dropout_seed: keras.KerasTensor | None = None,
        positions: keras.KerasTensor | None = None,
    ) -> keras.KerasTensor:
        """Attends from every position to those that the bias leaves open.

        Args:
          x: [B, S, H].
          attention_bias: [B, 1, 1 or S, S], 0 where attention is allowed and
            hugely negative elsewhere; with positions [B, 1, 1 or P, S].
          dropout_seed: int32 [2].
          positions: integers [B, P], from where to attend; None: everywhere.

        Returns:
          [B, S, H]; with positions [B, P, H].
        """
        size = self.config.head_size
        batch, _, width = ops.shape(x)
        if positions is None:
            parts = self._split(self.query_key_value(x), 3)
            query, key, value = parts  # [B, N, S, D]
        else:
            dense = self.query_key_value
            key, value = self._split(dense.columns(x, width, 3 * width), 2)
            query = dense.columns(take_places(x, positions), 0, width)
            (query,) = self._split(query, 1)  # [B, N, P, D]
        query = ops.multiply(query, 1.0 / math.sqrt(size))
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2))  # [B, N, S, S]
        weights = ops.softmax(ops.add(scores, attention_bias), axis=-1)
        weights = self.dropout(
            weights, training=training, dropout_seed=dropout_seed
        )
        context = ops.matmul(weights, value)  # [B, N, S, D]
        context = ops.transpose(context, (0, 2, 1, 3))  # [B, S, N, D]
        context = ops.reshape(context, (batch, -1, width))
        return self.output_dense(context)

    def _split(self, x: keras.KerasTensor, parts: int) -> list:
        """Takes x [B, S, parts H] apart: `parts` times [B, N, S, D]."""
        heads, size = self.config.num_attention_heads, self.config.head_size
        batch, length, _ = ops.shape(x)
        x = ops.reshape(x, (batch, length, parts, heads, size))
        x = ops.transpose(x, (2, 0, 3, 1, 4))  # [parts, B, N, S, D]
        return ops.unstack(x, parts, axis=0)

    def get_config(self) -> dict:
        return {**super().get_config(), "salt": self.salt}
