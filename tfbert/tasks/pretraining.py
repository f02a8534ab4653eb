"""Masked-LM pretraining, with next-sentence prediction when wanted."""

import keras
from keras import ops

from tfbert import kernels
from tfbert.config import BertConfig
from tfbert.layers.heads import MaskedLMHead, NextSentenceHead
from tfbert.tasks.task import (
    Batch,
    Outputs,
    Task,
    accuracy_sums,
    example_weights,
    sparse_cross_entropy,
    token_inputs,
)


class PretrainingTask(Task):
    """Devlin et al. 2018, section 3.1.

    Objectives "masked_lm_loss" (its weight is the number of masked tokens)
    and, with `next_sentence`, "next_sentence_loss" (number of rows).

    Args:
      config: the encoder's shape.
      next_sentence: whether rows carry `next_sentence_labels`.
      dtype: Keras dtype or policy.
      seed: of the initial weights.
    """

    def __init__(
        self,
        config: BertConfig,
        next_sentence: bool = False,
        dtype=None,
        seed: int = 0,
        name: str = "pretraining",
    ):
        super().__init__(config, dtype=dtype, seed=seed, name=name)
        options = {"dtype": self.dtype_policy, "seed": seed}
        self.masked_lm = MaskedLMHead(config, **options)
        self.next_sentence = None
        if next_sentence:
            self.next_sentence = NextSentenceHead(config, **options)
        self.build()

    def call(
        self, batch: Batch, training: bool = False, dropout_seed=None
    ) -> Outputs:
        """Runs encoder and heads.

        Returns:
          masked_lm_hidden [B, P, H]: what is projected onto the vocabulary.
          masked_lm_logits [B, P, V]: the projection.
          next_sentence_logits [B, 2], with `next_sentence`.
        """
        encoded = self.encoder(
            batch, training=training, dropout_seed=dropout_seed
        )
        hidden = self.masked_lm(
            encoded["sequence_output"], batch["masked_lm_positions"]
        )
        outputs = {
            "masked_lm_hidden": hidden,
            "masked_lm_logits": self.masked_lm.logits(
                hidden, self._token_embeddings()
            ),
        }
        if self.next_sentence is not None:
            outputs["next_sentence_logits"] = self.next_sentence(
                encoded["pooled_output"]
            )
        return outputs

    def loss_weights(self, batch: Batch) -> dict[str, keras.KerasTensor]:
        weights = {
            "masked_lm_loss": ops.sum(
                ops.cast(batch["masked_lm_weights"], "float32")
            )
        }
        if self.next_sentence is not None:
            weights["next_sentence_loss"] = ops.sum(example_weights(batch))
        return weights

    def loss_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, keras.KerasTensor]:
        """Sums the cross-entropies.

        The masked-LM loss is computed from `masked_lm_hidden`, so that the
        logits and their gradient need not be kept in float32.
        """
        losses = kernels.vocabulary_losses(
            outputs["masked_lm_hidden"],
            self._token_embeddings(),
            self.masked_lm.output_bias,
            batch["masked_lm_ids"],
        )  # [B, P]
        weights = ops.cast(batch["masked_lm_weights"], "float32")
        sums = {"masked_lm_loss": ops.sum(losses * weights)}
        if self.next_sentence is not None:
            losses = sparse_cross_entropy(
                outputs["next_sentence_logits"], batch["next_sentence_labels"]
            )
            sums["next_sentence_loss"] = ops.sum(
                losses * example_weights(batch)
            )
        return sums

    def metric_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, tuple[keras.KerasTensor, keras.KerasTensor]]:
        sums = {
            "masked_lm_accuracy": accuracy_sums(
                outputs["masked_lm_logits"],
                batch["masked_lm_ids"],
                batch["masked_lm_weights"],
            )
        }
        if self.next_sentence is not None:
            sums["next_sentence_accuracy"] = accuracy_sums(
                outputs["next_sentence_logits"],
                batch["next_sentence_labels"],
                example_weights(batch),
            )
        return sums

    def input_signature(
        self,
        batch_size: int | None,
        sequence_length: int = 128,
        max_predictions: int = 20,
        packed: bool = False,
    ) -> dict[str, keras.KerasTensor]:
        """Returns a symbolic batch; `packed` adds the packed rows' inputs."""
        signature = token_inputs(batch_size, sequence_length)
        slots = (batch_size, max_predictions)
        for name in ("masked_lm_positions", "masked_lm_ids"):
            signature[name] = keras.KerasTensor(slots, "int32")
        signature["masked_lm_weights"] = keras.KerasTensor(slots, "float32")
        if self.next_sentence is not None:
            signature["next_sentence_labels"] = keras.KerasTensor(
                (batch_size,), "int32"
            )
        if packed:
            for name in ("sequence_ids", "position_ids"):
                signature[name] = keras.KerasTensor(
                    (batch_size, sequence_length), "int32"
                )
        return signature

    def _token_embeddings(self):
        return ops.convert_to_tensor(
            self.encoder.embeddings.token_embeddings
        )  # [V, H] float32

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "next_sentence": self.next_sentence is not None,
        }
