"""What may stand at [MASK]: the masked-LM head of pretraining, served.

Legend: B batch, S sequence, M masks, N masks of all texts, K fills for each,
H hidden, V vocabulary.
"""

from collections.abc import Callable

import tensorflow as tf
from keras import ops

from tfbert.serving.graphs.request_bounds import DEFAULT, Limits
from tfbert.serving.graphs.servable import read, run_in_parts
from tfbert.text.tokenizer import Tokenizer, longest_text
from tfbert.text.vocabulary_files import MASK, SPECIAL_TOKENS

# Fills for each mask.
TOP_K = 5

# Masks whose scores of the whole vocabulary are there at once, 16 MB of them.
_MASKS_AT_ONCE = 128


def mask_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer, but one that reads "[MASK]" in text as the token."""
    return Tokenizer(
        tokenizer.vocabulary,
        lowercase=tokenizer.settings["lowercase"],
        special_tokens_in_text=True,
    )


def fill_mask_function(
    task,
    tokenizer: Tokenizer,
    max_length: int,
    top_k: int = TOP_K,
    limits: Limits = DEFAULT,
) -> Callable:
    """The function of the signature `fill_mask`.

    It maps `text`, string [B], to `tokens`, string [B, M, K], and `scores`,
    float32 [B, M, K]: the K most probable tokens for each literal "[MASK]"
    of the text, the best first, and their probabilities; M is the largest
    number of masks of a text of the batch, and those with fewer are filled
    up with "" and 0. `masks`, int32 [B], says how many a text has among its
    first `max_length` tokens; of them the first `max_masks` are answered, and
    counted. Other special tokens in text are plain text.

    Args:
      task: a PretrainingTask.
      tokenizer: `mask_tokenizer`'s.
      max_length: longest sequence in tokens; longer text is truncated.
      top_k: K; at most V.
      limits: of it `max_masks` is used.
    """
    table = tf.constant(tokenizer.vocabulary)  # [V]
    top_k = min(top_k, tokenizer.vocab_size)
    shape = [None, None, task.encoder.config.hidden_size]

    def hidden_states(batch, training):
        positions = batch["masked_lm_positions"]
        encoded = task.encoder(batch, training=training, positions=positions)
        return {"hidden": task.masked_lm(encoded["sequence_output"])}

    def fill(text: tf.Tensor) -> dict[str, tf.Tensor]:
        text = tf.strings.substr(text, 0, longest_text(max_length))
        batch = read(tokenizer, max_length, _only_masks(text), None).batch
        is_mask = batch["input_ids"] == tokenizer.mask_id  # [B, S]
        places = tf.where(is_mask)  # [N, 2]
        positions = tf.RaggedTensor.from_value_rowids(
            tf.cast(places[:, 1], tf.int32),
            places[:, 0],
            tf.shape(text, tf.int64)[0],
            validate=False,
        )[:, : limits.max_masks]
        batch["masked_lm_positions"] = positions.to_tensor()  # [B, M]
        hidden = run_in_parts(hidden_states, batch, {"hidden": shape})
        # Each text's masks are the first of the S places: S is M or more.
        masks = positions.row_lengths()
        hidden = tf.RaggedTensor.from_tensor(hidden["hidden"], masks)
        vocab_size = tokenizer.vocab_size
        scores, ids = _best(task, hidden.values, top_k, vocab_size)
        tokens = positions.with_values(tf.gather(table, ids))
        scores = positions.with_values(scores)
        return {
            "tokens": tokens.to_tensor("", shape=[None, None, top_k]),
            "scores": scores.to_tensor(0, shape=[None, None, top_k]),
            "masks": tf.cast(masks, tf.int32),
        }

    return fill


def _best(
    task, hidden: tf.Tensor, top_k: int, vocab_size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Probabilities and ids of the best tokens, [N, K], for hidden [N, H]."""
    head, size = task.masked_lm, tf.shape(hidden)[0]
    shape = [None, top_k]
    options = {"dynamic_size": True, "infer_shape": False}
    arrays = [
        tf.TensorArray(dtype, 1, element_shape=shape, **options)
        for dtype in (tf.float32, tf.int32)
    ]

    def body(part, scores, ids):
        first = part * _MASKS_AT_ONCE
        some = hidden[None, first : first + _MASKS_AT_ONCE]
        table = ops.convert_to_tensor(task.encoder.embeddings.token_embeddings)
        logits = head.logits(tf.cast(some, head.compute_dtype), table)
        logits = tf.cast(logits[0], tf.float32)  # [some, V]
        # A converted table may have rows behind that stand for no token.
        best, found = tf.math.top_k(logits[:, :vocab_size], top_k)
        # The softmax of the best alone: that of all is never there.
        most = tf.reduce_max(logits, axis=1, keepdims=True)
        total = tf.reduce_sum(tf.exp(logits - most), axis=1, keepdims=True)
        best = tf.exp(best - most) / total
        return part + 1, scores.write(part, best), ids.write(part, found)

    # One part at least, so that of no masks too there is something to join.
    _, scores, ids = tf.while_loop(
        lambda part, *_: (part * _MASKS_AT_ONCE < size) | (part == 0),
        body,
        (0, *arrays),
        parallel_iterations=2,
    )
    return tuple(tf.ensure_shape(a.concat(), shape) for a in (scores, ids))


def _only_masks(text: tf.Tensor) -> tf.Tensor:
    """Makes plain text of the special tokens in text, but for [MASK].

    A space beside a bracket changes no token of plain text: brackets are
    tokens of their own.
    """
    others = "|".join(t[1:-1] for t in SPECIAL_TOKENS if t != MASK)
    return tf.strings.regex_replace(text, rf"\[({others})\]", r"[ \1 ]")
