"""What is saved, and the way from strings to token ids inside of it.

Legend: B batch, S sequence.
"""

import os
from collections.abc import Callable, Mapping

import tensorflow as tf

# Strings of a request; the batch may have any size, 0 as well.
STRINGS = tf.TensorSpec([None], tf.string)


class Servable(tf.Module):
    """What is saved: signatures, and everything that they look at.

    Args:
      layer: a built Keras layer, created outside any strategy's scope.
      tokenizer: a tf.Module, so that its tables are saved.
      signatures: name -> function on strings [B], as a tf.function.
    """

    def __init__(
        self,
        layer,
        tokenizer: tf.Module,
        signatures: Mapping[str, Callable],
    ):
        super().__init__(name="servable")
        # Keras' own variables are no tf.Variables, but hold one each.
        self.layer_variables = [v.value for v in layer.variables]
        self.tokenizer = tokenizer
        self.functions = dict(signatures)

    def save(self, folder: str | os.PathLike) -> None:
        """Writes the SavedModel into `folder`."""
        tf.saved_model.save(self, os.fspath(folder), dict(self.functions))


def encode(
    tokenizer, max_length: int, text_a: tf.Tensor, text_b: tf.Tensor | None
) -> dict[str, tf.Tensor]:
    """Tokenizes for one forward pass.

    Returns:
      input_ids, input_mask and segment_ids, int32 [B, S]; S is the longest
      sequence in the batch, at least 1 and at most `max_length`.
    """
    batch = tokenizer.encode(text_a, text_b, max_length=max_length)
    lengths = tf.reduce_sum(batch["input_mask"], axis=1)
    # Of no rows the maximum is the smallest int32.
    longest = tf.maximum(tf.reduce_max(lengths), 1)
    return {key: value[:, :longest] for key, value in batch.items()}


def on_text(function: Callable):
    """A signature of one input, `text`, string [B]."""

    # The argument's name becomes the input's name in a request.
    @tf.function(input_signature=[STRINGS])
    def of_text(text):
        return function(text)

    return of_text


def on_pairs(function: Callable):
    """A signature of two inputs, `text_a` and `text_b`, string [B]."""

    @tf.function(input_signature=[STRINGS, STRINGS])
    def of_pairs(text_a, text_b):
        return function(text_a, text_b)

    return of_pairs
