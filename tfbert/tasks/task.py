"""Task: what the trainer asks of a model.

A loss is a sum and a weight, never a mean, so that any number of replicas and
micro-batches can be added up before one division:

    total loss = sum over objectives of  sum(loss_sums) / sum(loss_weights)

where the inner sums run over all replicas and micro-batches of a global
batch. Gradients are those of `loss_sums` divided by the same global weight.
"""

import keras
from keras import ops

from tfbert.batch_keys import TOKEN_KEYS
from tfbert.config import BertConfig
from tfbert.encoder import BertEncoder
from tfbert.errors import UserError
from tfbert.layers.bert_layer import BertLayer
from tfbert.layers.dense import Dense
from tfbert.layers.dropout import Dropout

Batch = dict[str, keras.KerasTensor]
Outputs = dict[str, keras.KerasTensor]
# Logit of what cannot be: a choice that there is not, a place outside of the
# context.
NEVER = -1e9


class Task(BertLayer):
    """An encoder with heads, losses and metrics. Subclass to customise.

    A subclass creates its heads after `super().__init__(...)`, calls
    `self.build()` last, and overrides `call` and `loss_sums`; `loss_weights`,
    `metric_sums` and `input_signature` where the defaults do not fit.

    Attributes:
      encoder: the BertEncoder.
      config: its BertConfig.
      pools: whether the first token of a row is all that is read of it.
      compares_examples: whether an example's loss depends on the others of
        the global batch (see tfbert.tasks.embedding).
      reads_windows: whether its `call` takes texts in windows, [B, W, S] (see
        tfbert.tasks.text_windows). A class with a call of its own says so.
    """

    pools = False
    compares_examples = False
    reads_windows = False

    def __init__(
        self, config: BertConfig, *, dtype=None, seed: int = 0, name=None
    ):
        super().__init__(config, seed=seed, dtype=dtype, name=name)
        self.encoder = BertEncoder(
            config, dtype=self.dtype_policy, seed=seed, draws_seeds=False
        )

    def build(self):
        """Heads build themselves in their constructors."""

    def make_dense(self, num_outputs: int, name: str) -> Dense:
        """A head of one layer, built: [..., H] -> [..., num_outputs]."""
        dense = Dense(
            self.config,
            self.config.hidden_size,
            num_outputs,
            seed=self.seed,
            dtype=self.dtype_policy,
            name=name,
        )
        dense.build()
        return dense

    def make_dropout(self, name: str) -> Dropout:
        """Dropout before the head of that name, at the encoder's rate."""
        rate = self.config.hidden_dropout_prob
        return Dropout(rate, name, dtype=self.dtype_policy)

    def call(
        self, batch: Batch, training: bool = False, dropout_seed=None
    ) -> Outputs:
        """Returns the outputs of the model for a batch.

        Args:
          batch: tensors by their names in the records.
          training: whether dropout is on.
          dropout_seed: int32 [2], needed when dropout is on.
        """
        raise NotImplementedError(f"{type(self).__name__} must define call()")

    def loss_weights(self, batch: Batch) -> dict[str, keras.KerasTensor]:
        """Returns the weight (float32 scalar) of each objective in `batch`.

        A function of the batch alone, so that it can be summed over replicas
        before any gradient is taken. Default: the number of real examples.
        """
        return {"loss": ops.sum(example_weights(batch))}

    def loss_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, keras.KerasTensor]:
        """Returns the sum (float32 scalar) of each objective's losses.

        The keys are those of `loss_weights`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define loss_sums()"
        )

    def metric_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, tuple[keras.KerasTensor, keras.KerasTensor]]:
        """Returns (sum of values, sum of weights), float32 scalars, by name."""
        return {}

    def input_signature(
        self, batch_size: int | None, **lengths: int
    ) -> dict[str, keras.KerasTensor]:
        """Returns a symbolic batch: what tensors this task reads.

        Args:
          batch_size: B, or None when it is not fixed.
          **lengths: the lengths that the task's batches have.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define input_signature()"
        )


def example_weights(batch: Batch) -> keras.KerasTensor:
    """Returns float32 [B]: 0 for rows that only fill the last batch, else 1.

    Such rows say so in `is_real_example`, or hold padding only.
    """
    if batch.get("is_real_example") is not None:
        return ops.cast(batch["is_real_example"], "float32")
    if batch.get("input_mask") is not None:
        real = ops.not_equal(batch["input_mask"], 0)  # [B, ..., S]
        axes = tuple(range(1, len(real.shape)))
        return ops.cast(ops.any(real, axis=axes), "float32")
    return ops.ones((ops.shape(batch["input_ids"])[0],), dtype="float32")


def check_segments(config: BertConfig, what: str) -> None:
    """Refuses a model that cannot tell two segments apart.

    Args:
      config: the encoder's shape.
      what: needs the two segments, for the message.

    Raises:
      UserError: type_vocab_size is below 2.
    """
    if config.type_vocab_size < 2:
        raise UserError(
            f"{what} needs segments 0 and 1, and the model has "
            f"type_vocab_size {config.type_vocab_size}: it could not see "
            "which is which. Take a model with type_vocab_size 2"
        )


def token_inputs(
    batch_size: int | None, *lengths: int | None
) -> dict[str, keras.KerasTensor]:
    """Returns the three inputs that all tasks read, symbolically.

    Args:
      batch_size: B.
      *lengths: S; or W and S, of texts in windows.
    """
    shape = (batch_size, *lengths)
    return {name: keras.KerasTensor(shape, "int32") for name in TOKEN_KEYS}


def sparse_cross_entropy(
    logits: keras.KerasTensor, labels: keras.KerasTensor
) -> keras.KerasTensor:
    """Returns -log softmax(logits)[label] in float32.

    Args:
      logits: [..., C].
      labels: integers [...].
    """
    return ops.sparse_categorical_crossentropy(
        labels, ops.cast(logits, "float32"), from_logits=True
    )


def accuracy_sums(
    answers: keras.KerasTensor,
    labels: keras.KerasTensor,
    weights: keras.KerasTensor,
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Returns (weight of the right answers, weight of all), float32 scalars.

    Args:
      answers: integers [...].
      labels: integers [...].
      weights: [...].
    """
    right = ops.equal(ops.cast(answers, "int32"), ops.cast(labels, "int32"))
    weights = ops.cast(weights, "float32")
    return ops.sum(ops.cast(right, "float32") * weights), ops.sum(weights)


def first_place(ids: keras.KerasTensor) -> keras.KerasTensor:
    """The positions [B, 1] of the first tokens of ids [B, S]."""
    return ops.zeros_like(ids[:, :1], dtype="int32")
