"""How likely a text is to a masked LM: its pseudo-log-likelihood, served.

Legend: B batch, S sequence, N tokens of all texts, V vocabulary.
"""

from collections.abc import Callable

import tensorflow as tf

from tfbert.serving.graphs.servable import read, size_of_part
from tfbert.text.tokenizer import Tokenizer, longest_text

# Masks whose logits of the whole vocabulary are there at once, 16 MB of them.
AT_ONCE = 128


def score_function(task, tokenizer: Tokenizer, max_length: int) -> Callable:
    """The function of the signature `score` (Salazar et al. 2020, section 2).

    Each token of a text is masked in turn; the score is the sum of the
    logarithms of the probabilities that the model gives to what stood there.
    [CLS] and [SEP] are not counted. A text of S tokens costs S rows of S.

    The function maps `text`, string [B], to `log_likelihood`, float32 [B], in
    nats, 0 or less, and `tokens`, int32 [B], how many were counted. Special
    tokens in text are plain text.

    Args:
      task: a PretrainingTask.
      tokenizer: of its vocabulary.
      max_length: longest sequence in tokens; longer text is truncated.
    """

    def score(text: tf.Tensor) -> dict[str, tf.Tensor]:
        text = tf.strings.substr(text, 0, longest_text(max_length))
        batch = read(tokenizer, max_length, text, None).batch
        lengths = tf.reduce_sum(batch["input_mask"], axis=1)  # [B]
        order = tf.argsort(lengths, direction="DESCENDING")
        batch = {key: tf.gather(value, order) for key, value in batch.items()}
        # Between [CLS] and [SEP]; those of the longest text come first.
        tokens = tf.maximum(tf.gather(lengths, order) - 2, 0)
        rows = tf.repeat(tf.range(tf.size(tokens)), tokens)  # [N]
        firsts = tf.repeat(tf.cumsum(tokens, exclusive=True), tokens)
        places = tf.range(tf.size(rows)) - firsts + 1
        losses = _losses(task, tokenizer.mask_id, batch, rows, places)
        sums = tf.math.unsorted_segment_sum(-losses, rows, tf.size(tokens))
        back = tf.argsort(order)
        return {
            "log_likelihood": tf.gather(sums, back),
            "tokens": tf.gather(tokens, back),
        }

    return score


def _losses(task, mask_id: int, batch, rows, places) -> tf.Tensor:
    """The loss, float32 [N], of each place of each row where it is masked."""
    width = tf.shape(batch["input_ids"])[1]
    lengths = tf.gather(tf.reduce_sum(batch["input_mask"], axis=1), rows)
    losses = tf.TensorArray(
        tf.float32,
        1,
        dynamic_size=True,
        infer_shape=False,
        element_shape=[None],
    )

    def body(part, first, losses):
        size, wide = size_of_part(lengths[first : first + AT_ONCE], width)
        row = rows[first : first + size]
        place = places[first : first + size, None]
        some = {key: tf.gather(v[:, :wide], row) for key, v in batch.items()}
        hidden = tf.gather(some["input_ids"], place, batch_dims=1)
        is_hidden = tf.range(wide)[None] == place
        ids = tf.where(is_hidden, mask_id, some["input_ids"])
        some |= {"input_ids": ids, "masked_lm_positions": place}
        logits = task(some, training=False)["masked_lm_logits"][:, 0]
        logits = tf.cast(logits, tf.float32)  # [some, V]
        logits -= tf.reduce_max(logits, axis=1, keepdims=True)
        total = tf.math.log(tf.reduce_sum(tf.exp(logits), axis=1))
        found = total - tf.gather(logits, hidden[:, 0], batch_dims=1)
        return part + 1, first + size, losses.write(part, found)

    # One part at least, so that of no tokens too there is something to join.
    _, _, losses = tf.while_loop(
        lambda part, first, _: (first < tf.size(rows)) | (part == 0),
        body,
        (0, 0, losses),
        parallel_iterations=2,
    )
    return tf.ensure_shape(losses.concat(), [None])
