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
from tfbert.tasks.text_windows import (
    WINDOW_VECTORS,
    TextWindows,
    check_window_pooling,
)


class PooledTask(Task):
    """Dropout and one layer over the pooled output (Devlin et al., 4.1).

    A subclass makes its outputs of what `head_outputs` returns, and says in
    `targets` what else a batch holds.

    Texts that are longer than a row come in windows, tokens of the shape
    [B, W, S]; a window without tokens is none. One answer is made of them by
    `window_pooling`: the mean of the windows' vectors ("mean_vectors") or of
    their logits ("mean_logits"; the head is linear, so that the two differ in
    dropout alone), the largest logit of each class ("max_logits"), or the mean
    of the vectors weighted by a softmax over the windows of v . q, with q
    learnt ("attention", as Yang et al. 2016, "Hierarchical Attention Networks
    for Document Classification", section 2.2, have it over sentences). The
    answer to a text of one window is that of a row.

    Args:
      config: the encoder's shape.
      num_outputs: C, width of the head.
      head: its name, and that of the attribute.
      window_pooling: one of WINDOW_POOLINGS; None: a text is a row.
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
        window_pooling: str | None = None,
        dtype=None,
        seed: int = 0,
        name=None,
    ):
        if window_pooling is not None:
            check_window_pooling(window_pooling)
        super().__init__(config, dtype=dtype, seed=seed, name=name)
        self.window_pooling = window_pooling
        if window_pooling == "attention":
            # At first all windows of a text count alike.
            self.window_query = self.add_weight(
                name="window_query",
                shape=(config.hidden_size,),
                initializer="zeros",
            )
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
        """The head's float32 [B, C] for rows of tokens [B, S], or windows.

        Args:
          batch: tokens [B, S] or, with a window_pooling, [B, W, S]; or
            `WINDOW_VECTORS` (see tfbert.tasks.text_windows).
          training: whether dropout is on.
          dropout_seed: int32 [2], needed when dropout is on.
        """
        draw = {"training": training, "dropout_seed": dropout_seed}
        head = getattr(self, self._head_name)
        in_windows = self.window_pooling and (
            WINDOW_VECTORS in batch or len(batch["input_ids"].shape) == 3
        )
        if not in_windows:
            pooled = self.pooled(batch, **draw)  # [B, H]
            return ops.cast(head(self.dropout(pooled, **draw)), "float32")
        fixed = bool(self.encoder.fixed_sizes)
        windows = TextWindows.of(batch, fixed)
        vectors = batch.get(WINDOW_VECTORS)
        if vectors is None:
            vectors = windows.vectors(
                lambda rows: self.pooled(rows, **draw), training or fixed
            )
        if not self.window_pooling.endswith("logits"):
            vectors = self._of_texts(vectors, windows)
        logits = head(self.dropout(vectors, **draw))
        if self.window_pooling == "mean_logits":
            return windows.mean(logits)
        if self.window_pooling == "max_logits":
            return windows.max(logits)
        return ops.cast(logits, "float32")

    def _of_texts(
        self, vectors: keras.KerasTensor, windows: TextWindows
    ) -> keras.KerasTensor:
        """A vector [B, H] for each text of those of its windows [R, H]."""
        scores = None
        if self.window_pooling == "attention":
            query = ops.cast(self.window_query, "float32")
            scores = ops.sum(ops.cast(vectors, "float32") * query, axis=-1)
        mean = windows.mean(vectors, scores)
        return ops.cast(mean, self.compute_dtype)

    def targets(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """(shape without B, dtype) of what a batch holds to learn, by name."""
        return {"label_ids": ((), "int32")}

    def input_signature(
        self,
        batch_size: int | None,
        sequence_length: int = 128,
        windows: int = 2,
    ) -> dict[str, keras.KerasTensor]:
        """Returns a symbolic batch, of windows if the task pools them."""
        shape = (sequence_length,)
        if self.window_pooling:
            shape = (windows, sequence_length)
        signature = token_inputs(batch_size, *shape)
        targets = {**self.targets(), "is_real_example": ((), "int32")}
        for name, (shape, dtype) in targets.items():
            signature[name] = keras.KerasTensor((batch_size, *shape), dtype)
        return signature

    def get_config(self) -> dict:
        return {**super().get_config(), "window_pooling": self.window_pooling}


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
