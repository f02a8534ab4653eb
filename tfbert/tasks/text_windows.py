"""Texts that take several rows: a row for each window, one answer for each.

Legend: B texts, W windows of the longest, S sequence, R windows that there
are, D width of what is known of a window.
"""

from collections.abc import Callable

import keras
from keras import ops

from tfbert import fast_ops
from tfbert.batch_keys import TOKEN_KEYS
from tfbert.errors import UserError
from tfbert.tasks.task import Batch

# How what is known of the windows becomes an answer for the text.
WINDOW_POOLINGS = ("mean_vectors", "mean_logits", "max_logits", "attention")
# In the place of tokens: vectors [R, H] of windows that were computed before,
# the text of each, int32 [R], and the number of texts, an int32 scalar.
WINDOW_VECTORS = "window_vectors"
WINDOW_TEXTS = "window_texts"
NUM_TEXTS = "num_texts"
# Places of rows that are computed at once where no gradient is wanted.
_PLACES_AT_ONCE = 32768


def check_window_pooling(pooling: str) -> None:
    """Raises UserError if there is no such pooling."""
    if pooling not in WINDOW_POOLINGS:
        raise UserError(
            f"wanted window_pooling of {', '.join(WINDOW_POOLINGS)}, got "
            f"{pooling!r}"
        )


class TextWindows:
    """Which windows of a batch there are, and which text each is of.

    Args:
      text: the text of each window, int32 [R]; B for one of no text.
      count: B.
      rows: the tokens of the windows, [R, S] each; None where vectors are
        there already.
    """

    def __init__(
        self, text: keras.KerasTensor, count, rows: Batch | None = None
    ):
        self.text, self.count, self.rows = text, count, rows

    @classmethod
    def of(cls, batch: Batch, fixed_shapes: bool = False) -> "TextWindows":
        """Of a batch with tokens [B, W, S]; a window without any is none.

        Args:
          batch: or with `WINDOW_VECTORS`.
          fixed_shapes: whether R is B W, windows that are none included.
        """
        if WINDOW_VECTORS in batch:
            return cls(batch[WINDOW_TEXTS], batch[NUM_TEXTS])
        count, windows, length = ops.shape(batch["input_ids"])
        rows = {
            name: ops.reshape(batch[name], (-1, length)) for name in TOKEN_KEYS
        }
        text = ops.arange(count * windows, dtype="int32") // windows
        there = ops.not_equal(rows["input_mask"][:, 0], 0)
        if fixed_shapes:
            return cls(ops.where(there, text, count), count, rows)
        (places,) = ops.nonzero(there)
        rows = {n: ops.take(value, places, axis=0) for n, value in rows.items()}
        return cls(ops.take(text, places), count, rows)

    def vectors(
        self, function: Callable[[Batch], keras.KerasTensor], all_at_once: bool
    ) -> keras.KerasTensor:
        """The vectors [R, H] of the windows.

        Args:
          function: tokens [n, S] -> vectors [n, H].
          all_at_once: whether their gradient is wanted, or shapes are fixed;
            else memory is bounded, whatever the texts.
        """
        if all_at_once:
            return function(self.rows)
        length = ops.shape(self.rows["input_ids"])[1]
        size = ops.maximum(_PLACES_AT_ONCE // length, 1)
        return fast_ops.in_parts(function, self.rows, size)

    def mean(
        self,
        values: keras.KerasTensor,
        scores: keras.KerasTensor | None = None,
    ) -> keras.KerasTensor:
        """The mean [B, D] of each text's windows, in float32.

        Args:
          values: [R, D].
          scores: float32 [R]: the mean is weighted by their softmax over the
            windows of a text; None: all count alike.
        """
        values = ops.cast(values, "float32")
        weights = ops.ones_like(values[:, :1])
        if scores is not None:
            # The softmax is the same, and nothing overflows.
            top = self._reduced(ops.segment_max, scores)
            weights = ops.exp(scores - ops.take(top, self.text))[:, None]
        total = self._reduced(ops.segment_sum, values * weights)
        weight = self._reduced(ops.segment_sum, weights)
        # A text without any window has the mean 0.
        mean = total / ops.where(weight > 0, weight, 1.0)
        return mean[: self.count]

    def max(self, values: keras.KerasTensor) -> keras.KerasTensor:
        """The largest of each text's windows, float32 [B, D]."""
        values = ops.cast(values, "float32")
        return self._reduced(ops.segment_max, values)[: self.count]

    def _reduced(self, reduce: Callable, values) -> keras.KerasTensor:
        return reduce(values, self.text, num_segments=self.count + 1)
