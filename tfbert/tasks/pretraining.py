"""Masked-LM pretraining, with next-sentence prediction when wanted."""

import keras
from keras import ops

from tfbert.config import BertConfig
from tfbert.layers.bert_layer import serializable
from tfbert.layers.heads import MaskedLMHead, NextSentenceHead
from tfbert.tasks.task import (
    Batch,
    Outputs,
    Task,
    accuracy_sums,
    check_segments,
    example_weights,
    first_place,
    sparse_cross_entropy,
    token_inputs,
)


@serializable
class PretrainingTask(Task):
    """Devlin et al. 2018, section 3.1.

    Objectives "masked_lm_loss" (its weight is the number of masked tokens)
    and, with `next_sentence`, "next_sentence_loss" (number of rows).

    Args:
      config: the encoder's shape.
      next_sentence: whether rows carry `next_sentence_labels`.
      dtype: Keras dtype or policy.
      seed: of the initial weights.

    Raises:
      UserError: next sentences with one segment only.
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
            check_segments(config, "next-sentence prediction")
            self.next_sentence = NextSentenceHead(config, **options)
        self.build()

    def call(
        self, batch: Batch, training: bool = False, dropout_seed=None
    ) -> Outputs:
        """Runs encoder and heads.

        The logits are for whoever wants them: losses and answers come from a
        kernel that never keeps logits or their gradient in float32. In a
        graph what is not used is not computed.

        Returns:
          masked_lm_logits [B, P, V].
          masked_lm_losses, float32 [B, P], and masked_lm_answers, the most
            probable ids, int32 [B, P]: when the batch has `masked_lm_ids`.
          next_sentence_logits [B, 2], with `next_sentence`.
        """
        positions = ops.cast(batch["masked_lm_positions"], "int32")
        if self.next_sentence is not None:
            first = first_place(batch["input_ids"])
            positions = ops.concatenate([first, positions], axis=1)
        encoded = self.encoder(
            batch,
            training=training,
            dropout_seed=dropout_seed,
            positions=positions,
        )
        masked = encoded["sequence_output"]
        if self.next_sentence is not None:
            masked = masked[:, 1:]
        hidden = self.masked_lm(masked)  # [B, P, H]
        table = ops.convert_to_tensor(self.encoder.embeddings.token_embeddings)
        outputs = {"masked_lm_logits": self.masked_lm.logits(hidden, table)}
        if batch.get("masked_lm_ids") is not None:
            losses, answers = self.masked_lm.losses(
                hidden, table, batch["masked_lm_ids"]
            )
            outputs["masked_lm_losses"] = losses
            outputs["masked_lm_answers"] = answers
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
        weights = ops.cast(batch["masked_lm_weights"], "float32")
        losses = outputs["masked_lm_losses"]
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
                outputs["masked_lm_answers"],
                batch["masked_lm_ids"],
                batch["masked_lm_weights"],
            )
        }
        if self.next_sentence is not None:
            sums["next_sentence_accuracy"] = accuracy_sums(
                ops.argmax(outputs["next_sentence_logits"], axis=-1),
                batch["next_sentence_labels"],
                example_weights(batch),
            )
        return sums

    def input_signature(
        self,
        batch_size: int | None,
        sequence_length: int = 128,
        max_predictions: int | None = None,
        packed: bool = False,
    ) -> dict[str, keras.KerasTensor]:
        """Returns a symbolic batch.

        Args:
          batch_size: B, or None when it is not fixed.
          sequence_length: S.
          max_predictions: P, or None when it is not fixed: it follows from
            the masks' rate and S where batches are made.
          packed: adds the inputs of packed rows.
        """
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

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "next_sentence": self.next_sentence is not None,
        }
