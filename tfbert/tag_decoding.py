"""The best legal sequence of BIO tags, as TensorFlow ops.

Scores of a sequence add up over its words; a sequence is legal when each I-X
follows B-X or I-X (so that none begins a sentence); there is no condition on
its end. Viterbi's algorithm finds the best one (Viterbi 1967; for roles He et
al. 2017, "Deep Semantic Role Labeling", section 2.2). As I-X has two
predecessors and every other tag has all, a step takes O(C) operations rather
than O(C^2).

Legend: B sentences, W words, C tags.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

OUTSIDE = "O"


def bio_tags(types: Iterable[str]) -> list[str]:
    """O, then B and I of each type, sorted: the tags that a model has."""
    pairs = [(f"B-{name}", f"I-{name}") for name in sorted(set(types))]
    return [OUTSIDE, *(tag for pair in pairs for tag in pair)]


def openers(tags: Sequence[str], has_spans: bool = True) -> np.ndarray:
    """For each I-X the place of B-X, for others -1; int32 [C].

    Args:
      tags: names of the tags; with spans, those of `bio_tags`.
      has_spans: whether the tags are BIO; if not, all sequences are legal.
    """
    place = {tag: index for index, tag in enumerate(tags)}
    return np.array(
        [
            place[f"B-{tag[2:]}"] if has_spans and tag.startswith("I-") else -1
            for tag in tags
        ],
        np.int32,
    )


def decode(
    scores: tf.Tensor, lengths: tf.Tensor, opener: np.ndarray
) -> tf.Tensor:
    """The legal sequence of the highest sum of scores.

    Args:
      scores: float32 [B, W, C], finite; logits or logarithms of
        probabilities give the same answer.
      lengths: integers [B], words of each sentence.
      opener: of `openers`, int32 [C].

    Returns:
      int32 [B, W]; 0 from the sentence's length on.
    """
    lengths = tf.cast(lengths, tf.int32)
    width = tf.shape(scores)[1]
    real = tf.sequence_mask(lengths, width)
    inside = opener >= 0
    if not inside.any():
        best = tf.argmax(scores, axis=2, output_type=tf.int32)
        return tf.where(real, best, 0)
    # A step more than there are words, so that there is one.
    steps = tf.transpose(tf.pad(scores, [[0, 0], [0, 1], [0, 0]]), [1, 0, 2])
    own = tf.range(len(opener))[None]
    before = tf.constant(np.where(inside, opener, 0), tf.int32)

    def forward(step, totals, pointers):
        top = tf.reduce_max(totals, axis=1, keepdims=True)
        best = tf.argmax(totals, axis=1, output_type=tf.int32)[:, None]
        opened = tf.gather(totals, before, axis=1)  # [B, C]
        back = tf.where(
            inside, tf.where(opened >= totals, before[None], own), best
        )
        # Less `top`, so that totals stay small and exact in long sentences.
        total = tf.where(inside, tf.maximum(opened, totals), top) - top
        live = (step < lengths)[:, None]
        return (
            step + 1,
            tf.where(live, total + steps[step], totals),
            pointers.write(step, tf.where(live, back, own)),
        )

    first = tf.where(inside, -np.inf, steps[0])
    shape = [None, len(opener)]
    pointers = tf.TensorArray(tf.int32, width + 1, element_shape=shape)
    _, totals, pointers = tf.while_loop(
        lambda step, *_: step < width,
        forward,
        (1, first, pointers),
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape(shape),
            tf.TensorShape(None),
        ),
    )
    chosen = _follow(tf.argmax(totals, axis=1, output_type=tf.int32), pointers)
    return tf.where(real, tf.transpose(chosen[:width]), 0)


def _follow(last: tf.Tensor, pointers: tf.TensorArray) -> tf.Tensor:
    """Goes back from the last tags [B]; returns int32 [W + 1, B]."""
    width = pointers.size() - 1

    def backward(step, tags, chosen):
        chosen = chosen.write(step, tags)
        before = tf.gather(pointers.read(step), tags, batch_dims=1)
        return step - 1, before, chosen

    chosen = tf.TensorArray(tf.int32, width + 1, element_shape=[None])
    _, tags, chosen = tf.while_loop(
        lambda step, *_: step > 0, backward, (width - 1, last, chosen)
    )
    return chosen.write(0, tags).stack()
