"""The best legal sequence of tags, as TensorFlow ops.

Scores of a sequence add up over its words; which sequences are legal a
`TagScheme` says. Viterbi's algorithm finds the best one (Viterbi 1967; for
roles He et al. 2017, "Deep Semantic Role Labeling", section 2.2). As a tag has
two predecessors, or else all that may end a sentence, a step takes O(C)
operations rather than O(C^2).

Legend: B sentences, W words, C tags.
"""

import numpy as np
import tensorflow as tf

from tfbert.tag_scheme import TagScheme

# The score of what is illegal. Finite, so that the least illegal sequence is
# found where a model's tags leave no legal one.
_NEVER = -1e30


def decode(
    scores: tf.Tensor, lengths: tf.Tensor, scheme: TagScheme
) -> tf.Tensor:
    """The legal sequence of the highest sum of scores.

    Args:
      scores: float32 [B, W, C], finite; logits or logarithms of
        probabilities give the same answer.
      lengths: integers [B], words of each sentence.
      scheme: of the C tags.

    Returns:
      int32 [B, W]; 0 from the sentence's length on.
    """
    lengths = tf.cast(lengths, tf.int32)
    width = tf.shape(scores)[1]
    real = tf.sequence_mask(lengths, width)
    bound = scheme.follows[:, 0] >= 0
    if not bound.any():
        best = tf.argmax(scores, axis=2, output_type=tf.int32)
        return tf.where(real, best, 0)
    # A step more than there are words, so that there is one.
    steps = tf.transpose(tf.pad(scores, [[0, 0], [0, 1], [0, 0]]), [1, 0, 2])
    own = tf.range(len(bound))[None]

    def forward(step, totals, pointers):
        total, back = _step(totals, scheme)
        live = (step < lengths)[:, None]
        return (
            step + 1,
            tf.where(live, total + steps[step], totals),
            pointers.write(step, tf.where(live, back, own)),
        )

    first = tf.where(bound, _NEVER, steps[0])
    shape = [None, len(bound)]
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
    totals = _ending(totals, scheme)
    chosen = _follow(tf.argmax(totals, axis=1, output_type=tf.int32), pointers)
    return tf.where(real, tf.transpose(chosen[:width]), 0)


def _step(totals: tf.Tensor, scheme: TagScheme) -> tuple[tf.Tensor, tf.Tensor]:
    """Before each tag [B, C] the best total, and the tag that has it."""
    bound = scheme.follows[:, 0] >= 0
    one, other = (tf.constant(np.maximum(x, 0)) for x in scheme.follows.T)
    first = tf.gather(totals, one, axis=1)
    second = tf.gather(totals, other, axis=1)
    ended = _ending(totals, scheme)
    best = tf.argmax(ended, axis=1, output_type=tf.int32)[:, None]
    back = tf.where(first >= second, one[None], other[None])
    total = tf.where(
        bound,
        tf.maximum(first, second),
        tf.reduce_max(ended, axis=1, keepdims=True),
    )
    # Less the highest, so that totals stay small and exact in long sentences.
    top = tf.reduce_max(totals, axis=1, keepdims=True)
    return total - top, tf.where(bound, back, best)


def _ending(totals: tf.Tensor, scheme: TagScheme) -> tf.Tensor:
    """The totals [B, C] of tags that may end a sentence."""
    if scheme.may_end.all():
        return totals
    return tf.where(scheme.may_end, totals, _NEVER)


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
