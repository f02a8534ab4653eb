"""A tag for each word: named entities, parts of speech, semantic roles."""

import keras
from keras import ops

from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.layers.bert_layer import serializable
from tfbert.tasks.task import (
    Batch,
    Outputs,
    Task,
    accuracy_sums,
    example_weights,
    sparse_cross_entropy,
    token_inputs,
)


@serializable
class TokenLabellingTask(Task):
    """Dropout and a softmax over each token's output (Devlin et al., 5.3).

    Only tokens whose label is 0 or more count: the first pieces of words.
    Objective "loss" (weight: such tokens), metric "accuracy" (of tags taken
    one by one, before any constraint).

    Semantic roles are learnt by the same task: what a tag is relative to is
    marked in `segment_ids`.

    Args:
      config: the encoder's shape.
      num_labels: C.
      dtype: Keras dtype or policy.
      seed: of the initial weights.

    Raises:
      UserError: fewer than two labels.
    """

    def __init__(
        self,
        config: BertConfig,
        num_labels: int,
        dtype=None,
        seed: int = 0,
        name: str = "token_labelling",
    ):
        super().__init__(config, dtype=dtype, seed=seed, name=name)
        if num_labels < 2:
            raise UserError(
                f"labelling needs at least two tags, got {num_labels}; check "
                "the tag column"
            )
        self.num_labels = num_labels
        self.dropout = self.make_dropout("classifier")
        self.classifier = self.make_dense(num_labels, "classifier")
        self.build()

    def call(
        self, batch: Batch, training: bool = False, dropout_seed=None
    ) -> Outputs:
        """Returns logits, float32 [B, S, C]."""
        draw = {"training": training, "dropout_seed": dropout_seed}

        def head(hidden):  # [..., H] -> [..., C]
            return self.classifier(self.dropout(hidden, **draw))

        logits = self.encoder(batch, head=head, **draw)["head_output"]
        return {"logits": ops.cast(logits, "float32")}

    def loss_weights(self, batch: Batch) -> dict[str, keras.KerasTensor]:
        return {"loss": ops.sum(token_weights(batch))}

    def loss_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, keras.KerasTensor]:
        labels = ops.maximum(batch["label_ids"], 0)
        losses = sparse_cross_entropy(outputs["logits"], labels)  # [B, S]
        return {"loss": ops.sum(losses * token_weights(batch))}

    def metric_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, tuple[keras.KerasTensor, keras.KerasTensor]]:
        return {
            "accuracy": accuracy_sums(
                ops.argmax(outputs["logits"], axis=-1),
                batch["label_ids"],
                token_weights(batch),
            )
        }

    def input_signature(
        self, batch_size: int | None, sequence_length: int = 128
    ) -> dict[str, keras.KerasTensor]:
        """Returns a symbolic batch."""
        signature = token_inputs(batch_size, sequence_length)
        shape = (batch_size, sequence_length)
        signature["label_ids"] = keras.KerasTensor(shape, "int32")
        signature["is_real_example"] = keras.KerasTensor((batch_size,), "int32")
        return signature

    def get_config(self) -> dict:
        return {**super().get_config(), "num_labels": self.num_labels}


def token_weights(batch: Batch) -> keras.KerasTensor:
    """Returns float32 [B, S]: 1 for labelled tokens of real examples."""
    labelled = ops.cast(ops.greater_equal(batch["label_ids"], 0), "float32")
    return labelled * example_weights(batch)[:, None]
