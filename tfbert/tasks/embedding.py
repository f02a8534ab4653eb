"""A vector for a text, learnt by comparing texts."""

import dataclasses
from collections.abc import Sequence

import keras
from keras import ops

from tfbert.batch_keys import TOKEN_KEYS
from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.layers.bert_layer import serializable
from tfbert.tasks import vector_losses
from tfbert.tasks.task import (
    Batch,
    Outputs,
    Task,
    example_weights,
    first_place,
)
from tfbert.tasks.text_windows import TextWindows
from tfbert.tasks.vector_losses import Comparison

IN_BATCH = Comparison()
# How the vectors of the tokens become one.
POOLINGS = ("mean", "cls", "max")
# Columns of a batch that `trainers.step.across_examples` fills in.
VECTOR_GRADIENTS, EXAMPLE_LOSSES = "vector_gradients", "example_losses"


@serializable
class EmbeddingTask(Task):
    """One vector of length 1 for each text: pooled tokens, without a head.

    Tokens have the shape [B, T, S] for the T texts of an example: anchor,
    positive and hard negative; a scored pair; or one text, which training
    reads twice with other dropout (Gao et al. 2021, "SimCSE", section 3). Or
    [B, S], of one text. In windows they are [B, T, W, S]; the vector of a text
    is the mean of those of its windows, brought to length 1.

    The loss of an example compares it with the others of the global batch,
    which are on other replicas and in other micro-batches. So a step computes
    the vectors of all first, then the gradient of the loss with respect to
    them, then that of the weights (Gao et al. 2021, "Scaling Deep Contrastive
    Learning Batch Size under Memory Limited Setup"): `example_losses` is the
    place for a loss of one's own.

    Objective "loss" (weight: real examples).

    Args:
      config: the encoder's shape.
      pooling: "mean" of all tokens' vectors, [CLS] and [SEP] included; "cls",
        that of the first; "max", the largest value of each dimension.
      comparison: what is learnt from.
      texts: T of the batches of training.
      dtype: Keras dtype or policy.
      seed: of the initial weights.

    Raises:
      UserError: no such pooling, or dimensions beyond H.
    """

    compares_examples = True
    reads_windows = True

    def __init__(
        self,
        config: BertConfig,
        pooling: str = "mean",
        comparison: Comparison = IN_BATCH,
        texts: int = 2,
        dtype=None,
        seed: int = 0,
        name: str = "embedding",
    ):
        check_pooling(pooling)
        check_dimensions(comparison.dimensions, config.hidden_size)
        super().__init__(config, dtype=dtype, seed=seed, name=name)
        self.pooling, self.comparison = pooling, comparison
        self.texts = texts
        self.build()

    def call(
        self, batch: Batch, training: bool = False, dropout_seed=None
    ) -> Outputs:
        """Returns "embedding", float32 [B, T, H] or [B, H], of length 1.

        In training T is 2 where the batch has one text: the text read twice.
        """
        ids = batch["input_ids"]
        tokens = {name: batch[name] for name in TOKEN_KEYS}
        alone = len(ids.shape) == 2
        if not alone:
            count = ids.shape[1]
            if training and count == 1:
                count = 2
                tokens = {
                    name: ops.repeat(value, 2, axis=1)
                    for name, value in tokens.items()
                }
            batch_size, _, *shape = ops.shape(ids)
            tokens = {
                # Not -1, which would forget how many texts there are.
                name: ops.reshape(value, (batch_size * count, *shape))
                for name, value in tokens.items()
            }
        draw = {"training": training, "dropout_seed": dropout_seed}
        vectors = self._pooled(tokens, **draw)  # [B T, H]
        if not alone:
            shape = (-1, count, self.config.hidden_size)
            vectors = ops.reshape(vectors, shape)
        return {"embedding": vectors}

    def _pooled(self, tokens: Batch, **draw) -> keras.KerasTensor:
        """Vectors of length 1, float32 [B, H], of tokens [B, S] or windows."""
        if len(tokens["input_ids"].shape) == 2:
            return vector_losses.normalised(self.pooled_rows(tokens, **draw))
        fixed = bool(self.encoder.fixed_sizes)
        windows = TextWindows.of(tokens, fixed)
        vectors = windows.vectors(
            lambda rows: self.pooled_rows(rows, **draw),
            draw["training"] or fixed,
        )
        return vector_losses.normalised(windows.mean(vectors))

    def pooled_rows(self, rows: Batch, **draw) -> keras.KerasTensor:
        """The pooled tokens of rows [R, S], float32 [R, H] of any length."""
        if self.pooling == "cls":
            draw["positions"] = first_place(rows["input_ids"])
        outputs = self.encoder(rows, **draw)["sequence_output"]
        outputs = ops.cast(outputs, "float32")  # [R, S, H]
        return pooled(outputs, rows["input_mask"], self.pooling)

    def example_losses(
        self, vectors: keras.KerasTensor, batch: Batch
    ) -> keras.KerasTensor:
        """The loss of each example of a global batch, float32 [N].

        Args:
          vectors: float32 [N, T, H] of length 1, of all examples.
          batch: "text_keys" integers [N, 1 or T], equal where texts are;
            "is_real_example" [N]; and "scores" float32 [N], where they are.
        """
        real = example_weights(batch)
        keys = batch["text_keys"]
        if keys.shape[1] == 1:
            keys = ops.repeat(keys, 2, axis=1)
        if vectors.shape[1] == 1:
            vectors = ops.repeat(vectors, 2, axis=1)
        scores, objective = batch.get("scores"), self.comparison.objective
        # Validation data may be of another form than training data.
        if scores is None:
            objective = "in_batch"
        elif objective == "in_batch":
            objective = "cosent"
        losses, temperature = [], self.comparison.temperature
        parts = self.comparison.dimensions
        for some in vector_losses.at_dimensions(vectors, parts):
            if objective == "in_batch":
                loss = vector_losses.in_batch(some, keys, real, temperature)
            elif objective == "cosine":
                loss = vector_losses.cosine(some, scores, real)
            else:
                loss = vector_losses.cosent(some, scores, real, temperature)
            losses.append(loss)
        return ops.mean(ops.stack(losses), axis=0)

    def loss_sums(
        self, batch: Batch, outputs: Outputs
    ) -> dict[str, keras.KerasTensor]:
        vectors = outputs["embedding"]
        if VECTOR_GRADIENTS not in batch:
            return {"loss": ops.sum(self.example_losses(vectors, batch))}
        # Of the value of the losses, and with the gradient that is given.
        along = ops.sum(vectors * batch[VECTOR_GRADIENTS])
        value = ops.sum(batch[EXAMPLE_LOSSES])
        return {"loss": value + (along - ops.stop_gradient(along))}

    def input_signature(
        self, batch_size: int | None, sequence_length: int = 128
    ) -> dict[str, keras.KerasTensor]:
        """Returns a symbolic batch."""
        shape = (batch_size, self.texts)
        shapes = {name: (*shape, sequence_length) for name in TOKEN_KEYS}
        shapes |= {"text_keys": shape, "is_real_example": (batch_size,)}
        signature = {
            n: keras.KerasTensor(s, "int32") for n, s in shapes.items()
        }
        if self.comparison.objective != "in_batch":
            signature["scores"] = keras.KerasTensor((batch_size,), "float32")
        return signature

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "pooling": self.pooling,
            "comparison": dataclasses.asdict(self.comparison),
            "texts": self.texts,
        }

    @classmethod
    def from_config(cls, config: dict):
        comparison = Comparison(**config["comparison"])
        return super().from_config({**config, "comparison": comparison})


def pooled(
    outputs: keras.KerasTensor, mask: keras.KerasTensor, pooling: str
) -> keras.KerasTensor:
    """One vector [R, H] of the vectors of tokens [R, S, H].

    Reimers and Gurevych 2019, section 3, "MEAN", "CLS" and "MAX".

    Args:
      outputs: float32.
      mask: integers [R, S], 0 for padding.
      pooling: one of POOLINGS.
    """
    if pooling == "cls":
        return outputs[:, 0]
    there = ops.not_equal(mask, 0)[:, :, None]
    if pooling == "max":
        return ops.max(ops.where(there, outputs, -1e9), axis=1)
    there = ops.cast(there, "float32")
    count = ops.maximum(ops.sum(there, axis=1), 1.0)
    return ops.sum(outputs * there, axis=1) / count


def check_pooling(pooling: str) -> None:
    """Raises UserError if there is no such pooling."""
    if pooling not in POOLINGS:
        raise UserError(
            f"wanted a pooling of {', '.join(POOLINGS)}, got {pooling!r}"
        )


def check_dimensions(dimensions: Sequence[int], hidden_size: int) -> None:
    """Raises UserError for dimensions that vectors do not have."""
    for size in dimensions:
        if not 0 < size <= hidden_size:
            raise UserError(
                f"wanted dimensions from 1 to {hidden_size} (the encoder's "
                f"hidden_size), got {size}"
            )
