"""The two pretraining heads of Devlin et al. 2018, section 3.1."""

import keras
from keras import ops

from tfbert import fast_ops
from tfbert.config import BertConfig
from tfbert.layers.activations import ACTIVATIONS
from tfbert.layers.bert_layer import BertLayer, serializable
from tfbert.layers.dense import Dense
from tfbert.layers.layer_norm import LayerNorm
from tfbert.layers.places import take_places


@serializable
class MaskedLMHead(BertLayer):
    """Hidden states at the masked positions, ready for the vocabulary.

    The kernel of the projection onto the vocabulary is the token table (the
    head is tied), which belongs to the encoder and is passed in; the head
    owns the projection's bias.
    """

    def __init__(
        self,
        config: BertConfig,
        *,
        seed: int = 0,
        dtype=None,
        name: str = "masked_lm",
    ):
        super().__init__(config, seed=seed, dtype=dtype, name=name)
        policy, width = self.dtype_policy, config.hidden_size
        self.transform = Dense(
            config, width, width, seed=seed, dtype=policy, name="transform"
        )
        self.activation = ACTIVATIONS[config.hidden_act]
        self.layer_norm = LayerNorm(config, dtype=policy)
        self.build()

    def build(self):
        self.transform.build()
        self.layer_norm.build()
        self.output_bias = self.add_weight(
            name="output_bias",
            shape=(self.config.vocab_size,),
            initializer="zeros",
        )

    def call(
        self,
        x: keras.KerasTensor,
        positions: keras.KerasTensor | None = None,
    ) -> keras.KerasTensor:
        """Transforms and normalises the masked positions.

        Args:
          x: the encoder's output at these positions, [B, P, H], or
            everywhere, [B, S, H].
          positions: int32 [B, P], where x is of all positions.

        Returns:
          [B, P, H].
        """
        if positions is not None:
            x = take_places(x, positions)
        return self.layer_norm(self.activation(self.transform(x)))

    def logits(
        self, hidden: keras.KerasTensor, token_embeddings: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Projects [B, P, H] onto the vocabulary: [B, P, V]."""
        dtype = self.compute_dtype
        batch, predictions, width = ops.shape(hidden)
        x = ops.reshape(hidden, (-1, width))
        kernel = ops.cast(token_embeddings, dtype)  # [V, H]
        x = ops.matmul(x, ops.transpose(kernel))
        x = fast_ops.add_bias(x, ops.cast(self.output_bias, dtype))
        return ops.reshape(x, (batch, predictions, self.config.vocab_size))

    def losses(
        self,
        hidden: keras.KerasTensor,
        token_embeddings: keras.KerasTensor,
        labels: keras.KerasTensor,
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Returns cross-entropies, float32 [B, P], and answers, int32 [B, P].

        Args:
          hidden: [B, P, H].
          token_embeddings: float32 [V, H].
          labels: integers [B, P].
        """
        return fast_ops.vocabulary_losses(
            hidden, token_embeddings, self.output_bias, labels
        )


@serializable
class NextSentenceHead(BertLayer):
    """Logits [B, 2] from the pooled output: 0 = is next, 1 = is random."""

    def __init__(
        self,
        config: BertConfig,
        *,
        seed: int = 0,
        dtype=None,
        name: str = "next_sentence",
    ):
        super().__init__(config, seed=seed, dtype=dtype, name=name)
        self.dense = Dense(
            config,
            config.hidden_size,
            2,
            seed=seed,
            dtype=self.dtype_policy,
            name="dense",
        )
        self.build()

    def build(self):
        self.dense.build()

    def call(self, pooled_output: keras.KerasTensor) -> keras.KerasTensor:
        """Maps [B, H] to [B, 2]."""
        return self.dense(pooled_output)
