"""The sum of token, segment and position embeddings."""

import keras
import numpy as np
from keras import ops

from tfbert import fast_ops
from tfbert.config import BertConfig
from tfbert.layers.bert_layer import BertLayer, serializable
from tfbert.layers.dropout import Dropout
from tfbert.layers.layer_norm import LayerNorm


def sinusoids(length: int, width: int) -> np.ndarray:
    """Returns Vaswani et al. 2017, section 3.5, as float32 [length, width].

    Column 2j is sin(i / 10000^(2j / width)) at position i, column 2j + 1 the
    cosine of the same angle.
    """
    position = np.arange(length)[:, None]
    exponent = 2 * (np.arange(width) // 2) / width
    angle = position / np.power(10000.0, exponent)[None, :]
    table = np.where(np.arange(width) % 2 == 0, np.sin(angle), np.cos(angle))
    return table.astype(np.float32)


@serializable
class Embeddings(BertLayer):
    """Token + segment + position, normalised (post-norm) and dropped out.

    Attributes:
      token_embeddings: variable [V, H], also the kernel of the tied
        masked-LM head.
    """

    def __init__(
        self,
        config: BertConfig,
        *,
        seed: int = 0,
        dtype=None,
        name: str = "embeddings",
    ):
        super().__init__(config, seed=seed, dtype=dtype, name=name)
        policy = self.dtype_policy
        self.layer_norm = None
        if config.norm_position == "post":
            self.layer_norm = LayerNorm(config, dtype=policy)
        self.dropout = Dropout(
            config.hidden_dropout_prob, "embeddings", dtype=policy
        )

    def build(self):
        config = self.config
        width = config.hidden_size
        # Not autocast: rows are picked first and only they are rounded.
        self.token_embeddings = self.add_matrix(
            "token_embeddings", (config.vocab_size, width), autocast=False
        )
        self.segment_embeddings = self.add_matrix(
            "segment_embeddings", (config.type_vocab_size, width)
        )
        if config.position_embedding_type == "learned":
            self.position_embeddings = self.add_matrix(
                "position_embeddings",
                (config.max_position_embeddings, width),
                autocast=False,
            )
        else:
            self.position_embeddings = sinusoids(
                config.max_position_embeddings, width
            )
        if self.layer_norm is not None:
            self.layer_norm.build()

    def call(
        self,
        input_ids: keras.KerasTensor,
        segment_ids: keras.KerasTensor | None = None,
        position_ids: keras.KerasTensor | None = None,
        training: bool = False,
        dropout_seed: keras.KerasTensor | None = None,
    ) -> keras.KerasTensor:
        """Embeds ids.

        Args:
          input_ids: int32 [B, S].
          segment_ids: int32 [B, S], default all 0.
          position_ids: int32 [B, S], default 0, 1, ... S - 1.

        Returns:
          [B, S, H] in the compute dtype.
        """
        dtype = self.compute_dtype
        x = fast_ops.take_rows(self.token_embeddings, input_ids)  # [B, S, H]
        x = ops.cast(x, dtype)
        segments = ops.cast(self.segment_embeddings, dtype)
        if segment_ids is None:
            x = fast_ops.add_bias(x, segments[0])
        else:
            # A product with one-hot rows: its gradient is a product too,
            # where that of a look-up adds B S rows into T one by one.
            # The rows are looked up, for an id that is too large to be an
            # error and not a row of zeros.
            kinds = fast_ops.take_rows(
                ops.eye(self.config.type_vocab_size, dtype=dtype), segment_ids
            )
            x = ops.add(x, ops.matmul(kinds, segments))
        if position_ids is None:
            positions = self.position_embeddings[: ops.shape(input_ids)[1]]
            x = fast_ops.add_bias(x, ops.cast(positions, dtype))
        else:
            positions = fast_ops.take_rows(
                self.position_embeddings, position_ids
            )
            x = ops.add(x, ops.cast(positions, dtype))
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        return self.dropout(x, training=training, dropout_seed=dropout_seed)
