"""One encoder block: self-attention and feed-forward with residuals."""

import operator

import keras
from keras import ops

from tfbert.config import BertConfig
from tfbert.layers.attention import SelfAttention
from tfbert.layers.bert_layer import BertLayer, serializable
from tfbert.layers.dropout import Dropout
from tfbert.layers.feed_forward import FeedForward
from tfbert.layers.layer_norm import LayerNorm
from tfbert.layers.places import take_places
from tfbert.layers.real_tokens import RealTokens


@serializable
class EncoderBlock(BertLayer):
    """x + sublayer(x), normalised after the sum (post) or before (pre).

    Post-norm is BERT's: LN(x + sublayer(x)). Pre-norm is x + sublayer(LN(x))
    (Xiong et al. 2020, Figure 1b).

    Args:
      index: place of the block in the encoder; tells its dropout masks from
        those of the other blocks.
    """

    def __init__(
        self,
        config: BertConfig,
        index: int,
        *,
        seed: int = 0,
        dtype=None,
        name: str | None = None,
    ):
        index = operator.index(index)
        name = name or f"block_{index}"
        super().__init__(config, seed=seed, dtype=dtype, name=name)
        self.index = index
        policy = self.dtype_policy
        salt = f"block_{index}"
        self.attention = SelfAttention(
            config, seed=seed, dtype=policy, salt=f"{salt}/attention"
        )
        self.attention_dropout = Dropout(
            config.hidden_dropout_prob, f"{salt}/attention/output", dtype=policy
        )
        self.attention_layer_norm = LayerNorm(
            config, dtype=policy, name="attention_layer_norm"
        )
        self.feed_forward = FeedForward(config, seed=seed, dtype=policy)
        self.feed_forward_dropout = Dropout(
            config.hidden_dropout_prob,
            f"{salt}/feed_forward/output",
            dtype=policy,
        )
        self.feed_forward_layer_norm = LayerNorm(
            config, dtype=policy, name="feed_forward_layer_norm"
        )

    def build(self):
        self.attention.build()
        self.attention_layer_norm.build()
        self.feed_forward.build()
        self.feed_forward_layer_norm.build()

    def call(
        self,
        x: keras.KerasTensor,
        attention_bias: keras.KerasTensor | None,
        positions: keras.KerasTensor | None = None,
        training: bool = False,
        dropout_seed: keras.KerasTensor | None = None,
        real_tokens: RealTokens | None = None,
    ) -> keras.KerasTensor:
        """Maps x [B, S, H] to [B, S, H]; arguments as in SelfAttention.

        With positions [B, P] to [B, P, H]: only keys and values are computed
        of all places.
        """
        draw = {"training": training, "dropout_seed": dropout_seed}
        post = self.config.norm_position == "post"

        y = x if post else self.attention_layer_norm(x)
        y = self.attention(
            y,
            attention_bias,
            positions=positions,
            real_tokens=real_tokens,
            **draw,
        )
        if positions is not None:
            x = take_places(x, positions)
        x = ops.add(x, self.attention_dropout(y, **draw))
        if post:
            x = self.attention_layer_norm(x)

        y = x if post else self.feed_forward_layer_norm(x)
        y = self.feed_forward(y)
        x = ops.add(x, self.feed_forward_dropout(y, **draw))
        return self.feed_forward_layer_norm(x) if post else x

    def get_config(self) -> dict:
        return {**super().get_config(), "index": self.index}
