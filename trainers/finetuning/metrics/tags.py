"""Logits of words -> legal tags, and the table of their scores."""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import rich.table
import rich.text

from tfbert.tag_scheme import TagScheme
from trainers.finetuning.metrics.spans import SpanScore

_SENTENCES_AT_ONCE = 256


class Answers(NamedTuple):
    """The tags of each sentence's words, and the probability of each."""

    tags: list[list[str]]
    scores: list[np.ndarray]


def decode_words(logits: Sequence[np.ndarray], scheme: TagScheme) -> Answers:
    """The best legal tags, by the operations that the exported graph has.

    Args:
      logits: of each sentence, float32 [words, C].
      scheme: of the C tags.
    """
    best = _decoder(scheme)
    labels = scheme.names
    tags: list[list[str]] = []
    scores: list[np.ndarray] = []
    for start in range(0, len(logits), _SENTENCES_AT_ONCE):
        some = logits[start : start + _SENTENCES_AT_ONCE]
        lengths = np.array([len(part) for part in some], np.int32)
        padded = np.zeros((len(some), lengths.max(), len(labels)), np.float32)
        for row, part in zip(padded, some, strict=True):
            row[: len(part)] = part
        chosen, probabilities = (x.numpy() for x in best(padded, lengths))
        for i, length in enumerate(lengths):
            tags.append([labels[tag] for tag in chosen[i, :length]])
            scores.append(probabilities[i, :length])
    return Answers(tags, scores)


@functools.cache
def _decoder(scheme: TagScheme):
    """Scores [B, W, C] and lengths [B] -> tags and their probabilities."""
    import tensorflow as tf

    from tfbert.tasks.tag_decoding import decode

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, len(scheme.names)]),
            tf.TensorSpec([None], tf.int32),
        ]
    )
    def best(scores, lengths):
        chosen = decode(scores, lengths, scheme)
        probabilities = tf.nn.softmax(scores)
        return chosen, tf.gather(probabilities, chosen, batch_dims=2)

    return best


def span_table(title: str, scores: Mapping[str, SpanScore]) -> rich.table.Table:
    """Precision, recall and F1 by type."""
    table = rich.table.Table(title=rich.text.Text(title))
    table.add_column("type", overflow="fold")
    for name in ("precision", "recall", "F1", "gold", "predicted"):
        table.add_column(name, justify="right", overflow="fold")
    for name, row in scores.items():
        table.add_row(
            rich.text.Text(name),
            *(f"{x:.4f}" for x in (row.precision, row.recall, row.f1)),
            str(row.support),
            str(row.predicted),
        )
    return table
