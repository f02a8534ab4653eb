"""Multi-head self-attention (Vaswani et al. 2017, section 3.2)."""

import math

import keras
from keras import ops

from tfbert.config import BertConfig
from tfbert.layers.bert_layer import BertLayer, serializable
from tfbert.layers.dense import Dense
from tfbert.layers.dropout import Dropout
from tfbert.layers.places import take_places
from tfbert.layers.real_tokens import RealTokens


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
        attention_bias: keras.KerasTensor | None,
        training: bool = False,
        dropout_seed: keras.KerasTensor | None = None,
        positions: keras.KerasTensor | None = None,
        real_tokens: RealTokens | None = None,
    ) -> keras.KerasTensor:
        """Attends from every position to those that the bias leaves open.

        Args:
          x: [B, S, H].
          attention_bias: [B, 1, 1 or S, S], 0 where attention is allowed and
            hugely negative elsewhere; with positions [B, 1, 1 or P, S].
          dropout_seed: int32 [2].
          positions: integers [B, P], from where to attend; None: everywhere.
          real_tokens: x holds these alone, [1, T, H], and each row attends
            within itself; then there is no bias, and positions are [1, B P].

        Returns:
          [B, S, H]; with positions [B, P, H].
        """
        draw = {"training": training, "dropout_seed": dropout_seed}
        width, dense = self.config.hidden_size, self.query_key_value
        if positions is None:
            parts = [dense(x)]  # [B, S, 3 H]
        else:
            query = dense.columns(take_places(x, positions), 0, width)
            parts = [query, dense.columns(x, width, 3 * width)]
        if real_tokens is None:
            context = self._context(parts, attention_bias, draw)
        else:
            context = self._context_by_group(parts, real_tokens, draw)
        return self.output_dense(context)

    def _context(self, parts: list, bias, draw: dict) -> keras.KerasTensor:
        """[B, P or S, H] of the projections [QKV], or [Q, KV]."""
        query, key, value = [
            piece for part in parts for piece in self._split(part)
        ]  # [B, N, P or S, D] each
        query = ops.multiply(query, 1.0 / math.sqrt(self.config.head_size))
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2))  # [B, N, S, S]
        # Not ops.add, which takes an empty group's bias for that of a layer.
        weights = ops.softmax(scores + bias, axis=-1)
        weights = self.dropout(weights, **draw)
        context = ops.matmul(weights, value)  # [B, N, S, D]
        context = ops.transpose(context, (0, 2, 1, 3))  # [B, S, N, D]
        batch, length, _, _ = ops.shape(context)
        return ops.reshape(context, (batch, length, self.config.hidden_size))

    def _context_by_group(
        self, parts: list, real_tokens: RealTokens, draw: dict
    ) -> keras.KerasTensor:
        """[1, B P or T, H] of the projections [1, ...], group by group."""
        width = self.config.hidden_size
        *query, rest = (part[0] for part in parts)
        apart = [real_tokens.tokens.apart(rest)]  # of each group [n, L, W]
        back = real_tokens.tokens
        if query:
            back = real_tokens.rows
            rows = ops.reshape(query[0], (real_tokens.batch, -1))  # [B, P H]
            groups = back.apart(rows)
            apart.insert(
                0,
                [
                    ops.reshape(x, (-1, ops.shape(x)[1] // width, width))
                    for x in groups
                ],
            )
        contexts = []
        for group, own in enumerate(zip(*apart, strict=True)):
            bias = real_tokens.bias(group, self.compute_dtype)
            contexts.append(self._context(own, bias, _drawn(draw, group)))
        if query:
            contexts = [
                ops.reshape(c, (-1, ops.shape(c)[1] * width)) for c in contexts
            ]
        return ops.reshape(back.together(contexts), (1, -1, width))

    def _split(self, x: keras.KerasTensor) -> list:
        """Takes x [B, S, k H] apart: k times [B, N, S, D]."""
        heads, size = self.config.num_attention_heads, self.config.head_size
        parts = x.shape[-1] // self.config.hidden_size
        batch, length, _ = ops.shape(x)
        x = ops.reshape(x, (batch, length, parts, heads, size))
        x = ops.transpose(x, (2, 0, 3, 1, 4))  # [parts, B, N, S, D]
        return ops.unstack(x, parts, axis=0)

    def get_config(self) -> dict:
        return {**super().get_config(), "salt": self.salt}


def _drawn(draw: dict, group: int) -> dict:
    """The draws of a group: other ones than those of the first."""
    seed = draw["dropout_seed"]
    if seed is None or not group:
        return draw
    seed = ops.bitwise_xor(
        ops.convert_to_tensor(seed, "int32"),
        ops.convert_to_tensor([0, group << 16], "int32"),
    )
    return {**draw, "dropout_seed": seed}
