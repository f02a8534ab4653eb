"""What all tasks that read the pooled output share."""

import keras
from keras import ops

from tfbert.config import BertConfig
from tfbert.tasks.task import (
    Batch,
    Outputs,
    Task,
    accuracy_sums,
    example_weights,
    first_place,
    token_inputs,
)


class PooledTask(Task):
    """Dropout and one layer over the pooled output (Devlin et al., 4.1).

    A subclass makes its outputs of what `head_outputs` returns, and says in
    `targets` what else a batch holds.

    Args:
      config: the encoder's shape.
      num_outputs: C, width of the head.
      head: its name, and that of the attribute.
      dtype: Keras dtype or policy.
      seed: of the initial weights.
    """

    pools = True

    def __init__(
        self,
        config: BertConfig,
        num_outputs: int,
        head: str,
        *,
        dtype=None,
        seed: int = 0,
        name=None,
    ):
        super().__init__(config, dtype=dtype, seed=seed, name=name)
        self.dropout = self.make_dropout(head)
        setattr(self, head, self.make_dense(num_outputs, head))
        self._head_name = head
        self.build()

    def pooled(self, batch: Batch, **draw) -> keras.KerasTensor:
        """The encoder's pooled output [B, H], and no more than it needs."""
        first = first_place(batch["input_ids"])
        return self.encoder(batch, positions=first, **draw)["pooled_output"]

    def head_outputs(
        self, batch: Batch, training: bool = False, dropout_seed=None
    ) -> keras.KerasTensor:
        """The head's float32 [B, C] for rows of tokens [B, S]."""
        draw = {"training": training, "dropout_seed": dropout_seed}
        pooled = self.pooled(batch, **draw)  # [B, H]
        head = getattr(self, self._head_name)
        return ops.cast(head(self.dropout(pooled, **draw)), "float32")

    def targets(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """(shape without B, dtype) of what a batch holds to learn, by name."""
        return {"label_ids": ((), "int32")}

    def input_signature(
        self, batch_size: int | None, sequence_length: int = 128
    ) -> dict[str, keras.KerasTensor]:
        """Returns a symbolic batch."""
        signature = token_inputs(batch_size, sequence_length)
        targets = {**self.targets(), "is_real_example": ((), "int32")}
        for name, (shape, dtype) in targets.items():
            signature[name] = keras.KerasTensor((batch_size, *shape), dtype)
        return signature


def label_accuracy(
    batch: Batch, outputs: Outputs
) -> dict[str, tuple[keras.KerasTensor, keras.KerasTensor]]:
    """The sums of "accuracy", of `label_ids` that have `logits`."""
    return {
        "accuracy": accuracy_sums(
            ops.argmax(outputs["logits"], axis=-1),
            batch["label_ids"],
            example_weights(batch),
        )
    }
