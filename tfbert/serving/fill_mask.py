"""What may stand at [MASK]: the masked-LM head of pretraining, served.

Legend: B batch, S sequence, M masks, K fills for each, V vocabulary.
"""

from collections.abc import Callable

import tensorflow as tf

from tfbert.serving.servable import encode
from tfbert.tokenization import Tokenizer
from tfbert.vocabulary import MASK, SPECIAL_TOKENS

# Fills for each mask.
TOP_K = 5


def mask_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer, but one that reads "[MASK]" in text as the token."""
    return Tokenizer(
        tokenizer.vocabulary,
        lowercase=tokenizer.settings["lowercase"],
        special_tokens_in_text=True,
    )


def fill_mask_function(
    task, tokenizer: Tokenizer, max_length: int, top_k: int = TOP_K
) -> Callable:
    """The function of the signature `fill_mask`.

    It maps `text`, string [B], to `tokens`, string [B, M, K], and `scores`,
    float32 [B, M, K]: the K most probable tokens for each literal "[MASK]"
    of the text, the best first, and their probabilities; M is the largest
    number of masks of a text of the batch, and those with fewer are filled
    up with "" and 0. `masks`, int32 [B], says how many a text has among its
    first `max_length` tokens. Other special tokens in text are plain text.

    Args:
      task: a PretrainingTask.
      tokenizer: `mask_tokenizer`'s.
      max_length: longest sequence in tokens; longer text is truncated.
      top_k: K; at most V.
    """
    table = tf.constant(tokenizer.vocabulary)  # [V]
    top_k = min(top_k, tokenizer.vocab_size)

    def fill(text: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = encode(tokenizer, max_length, _only_masks(text), None)
        is_mask = batch["input_ids"] == tokenizer.mask_id  # [B, S]
        masks = tf.reduce_sum(tf.cast(is_mask, tf.int32), axis=1)
        places = tf.cast(tf.where(is_mask), tf.int32)
        places = tf.RaggedTensor.from_row_lengths(places[:, 1], masks)
        positions = places.to_tensor()  # [B, M]
        outputs = task(
            {**batch, "masked_lm_positions": positions}, training=False
        )
        logits = tf.cast(outputs["masked_lm_logits"], tf.float32)
        # A converted table may have rows behind that stand for no token.
        shares = tf.nn.softmax(logits)[:, :, : tokenizer.vocab_size]
        scores, ids = tf.math.top_k(shares, top_k)
        there = tf.sequence_mask(masks, tf.shape(positions)[1])[:, :, None]
        return {
            "tokens": tf.where(there, tf.gather(table, ids), ""),
            "scores": tf.where(there, scores, 0.0),
            "masks": masks,
        }

    return fill


def _only_masks(text: tf.Tensor) -> tf.Tensor:
    """Makes plain text of the special tokens in text, but for [MASK].

    A space beside a bracket changes no token of plain text: brackets are
    tokens of their own.
    """
    others = "|".join(t[1:-1] for t in SPECIAL_TOKENS if t != MASK)
    return tf.strings.regex_replace(text, rf"\[({others})\]", r"[ \1 ]")
