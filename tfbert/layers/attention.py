"""Multi-head self-attention (Vaswani et al. 2017, section 3.2)."""

import math

import keras
from keras import ops

from tfbert.config import BertConfig
from tfbert.layers.bert_layer import BertLayer, serializable
from tfbert.layers.dense import Dense
from tfbert.layers.dropout import Dropout


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
    ) -> keras.KerasTensor:
        """Attends from every position to those that the bias leaves open.

        Args:
          x: [B, S, H].
          attention_bias: [B, 1, 1 or S, S], 0 where attention is allowed and
            hugely negative elsewhere.
          dropout_seed: int32 [2].

        Returns:
          [B, S, H].
        """
        heads, size = self.config.num_attention_heads, self.config.head_size
        batch, length, width = ops.shape(x)
        qkv = self.query_key_value(x)  # [B, S, 3H]
        qkv = ops.reshape(qkv, (batch, length, 3, heads, size))
        qkv = ops.transpose(qkv, (2, 0, 3, 1, 4))  # [3, B, N, S, D]
        query, key, value = ops.unstack(qkv, 3, axis=0)  # [B, N, S, D]
        query = ops.multiply(query, 1.0 / math.sqrt(size))
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2))  # [B, N, S, S]
        weights = ops.softmax(ops.add(scores, attention_bias), axis=-1)
        weights = self.dropout(
            weights, training=training, dropout_seed=dropout_seed
        )
        context = ops.matmul(weights, value)  # [B, N, S, D]
        context = ops.transpose(context, (0, 2, 1, 3))  # [B, S, N, D]
        context = ops.reshape(context, (batch, length, width))
        return self.output_dense(context)

    def get_config(self) -> dict:
        return {**super().get_config(), "salt": self.salt}
