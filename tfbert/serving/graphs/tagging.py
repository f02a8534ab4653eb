"""Words -> tags and spans inside a graph: what labels and roles share.

Legend: B sentences, R rows (windows), S sequence, W words, N spans, C tags.
"""

from typing import NamedTuple

import tensorflow as tf

from tfbert.batch_keys import TOKEN_KEYS
from tfbert.serving.graphs.servable import run_in_parts
from tfbert.tag_scheme import TagScheme
from tfbert.tasks.tag_decoding import decode
from tfbert.text.windows.sentences import SentenceTokenizer, Surroundings

# Words of a request, padded with "".
WORDS = tf.TensorSpec([None, None], tf.string)


class Tagged(NamedTuple):
    """Tags of words, RaggedTensors [B, None].

    Attributes:
      tags: int32, legal in their scheme.
      scores: float32, the probability of each tag on its own.
    """

    tags: tf.RaggedTensor
    scores: tf.RaggedTensor


class Spans(NamedTuple):
    """Spans of words, RaggedTensors [B, None].

    Attributes:
      tags: int32, the tag that begins each span.
      firsts, lasts: int64, its first and last word.
      scores: float32, mean score of its words.
    """

    tags: tf.RaggedTensor
    firsts: tf.RaggedTensor
    lasts: tf.RaggedTensor
    scores: tf.RaggedTensor


class Tagger(tf.Module):
    """Gives each word of a sentence its tag.

    Args:
      task: a TokenLabellingTask.
      tokenizer: the Tokenizer that it was trained with.
      scheme: of the task's tags.
      max_length: longest row in tokens; longer sentences take several.
    """

    def __init__(self, task, tokenizer, scheme: TagScheme, max_length: int):
        super().__init__(name="tagger")
        self._task = task
        self.sentences = SentenceTokenizer(tokenizer)
        self.scheme = scheme
        self._max_length = max_length
        # One graph for all signatures, and all passes of a signature.
        tokens = tf.TensorSpec([None, None], tf.int32)
        self._forward = tf.function(
            self._in_parts, input_signature=[dict.fromkeys(TOKEN_KEYS, tokens)]
        )
        names = (*TOKEN_KEYS, "columns")
        self._tag_rows = tf.function(
            self._tag_in_parts, input_signature=[dict.fromkeys(names, tokens)]
        )

    def logits(self, pieces: tf.RaggedTensor) -> tf.RaggedTensor:
        """The logits of each word's tags.

        Args:
          pieces: int32 [B, None, None], of sentences, words, pieces.

        Returns:
          float32 [B, None, C].
        """
        windows = self.sentences.windows(pieces, self._max_length)
        logits = self._forward(windows.batch)  # [R, S, C]
        places = tf.stack([windows.rows.values, windows.columns.values], 1)
        return windows.rows.with_values(tf.gather_nd(logits, places))

    def tag(self, logits: tf.RaggedTensor) -> Tagged:
        """The best legal tags for logits float32 [B, None, C]."""
        lengths = logits.row_lengths()
        dense = logits.to_tensor()  # [B, W, C]
        tags = decode(dense, lengths, self.scheme)
        flat = tf.boolean_mask(tags, tf.sequence_mask(lengths))  # [W]
        probabilities = tf.nn.softmax(logits.values)
        return Tagged(
            logits.with_values(flat),
            logits.with_values(tf.gather(probabilities, flat, batch_dims=1)),
        )

    def tag_near(self, near: Surroundings) -> Tagged:
        """The best legal tags of marked words and those around them [E, None].

        Each has a row. They are decoded some rows at a time, so that there
        are never the logits of all.
        """
        windows = self.sentences.windows(
            near.pieces, self._max_length, near.marked
        )
        columns = tf.cast(windows.columns.to_tensor(-1), tf.int32)
        missing = tf.shape(windows.batch["input_ids"])[1] - tf.shape(columns)[1]
        columns = tf.pad(columns, [[0, 0], [0, missing]], constant_values=-1)
        tagged = self._tag_rows({**windows.batch, "columns": columns})
        lengths = windows.columns.row_lengths()
        return Tagged(
            *(tf.RaggedTensor.from_tensor(part, lengths) for part in tagged)
        )

    def spans(self, tagged: Tagged) -> Spans:
        """The spans of tags, in the order of the text.

        As `tag_scheme.read_spans` finds them.
        """
        tags = tagged.tags.values  # [W]
        rows = tagged.tags.value_rowids()
        kinds = tf.gather(tf.constant(self.scheme.kinds), tags)
        inside = kinds >= 0
        begins = inside & (
            tf.gather(tf.constant(self.scheme.opens), tags)
            | _differs(rows)
            | _differs(kinds)
            | _shifted(tf.gather(tf.constant(self.scheme.closes), tags))
        )
        first = tf.where(begins)[:, 0]  # [N]
        number = tf.maximum(tf.cumsum(tf.cast(begins, tf.int32)) - 1, 0)
        size = tf.size(first)

        def total(values):
            values = tf.where(inside, values, 0)
            # One more: words of no span need a place where there is no span.
            return tf.math.unsorted_segment_sum(values, number, size + 1)[:size]

        lengths = total(tf.ones_like(tags))
        scores = total(tagged.scores.values) / tf.cast(lengths, tf.float32)
        sentence = tf.gather(rows, first)
        place = first - tf.gather(tagged.tags.row_splits, sentence)
        parts = (
            tf.gather(tags, first),
            place,
            place + tf.cast(lengths, tf.int64) - 1,
            scores,
        )
        return Spans(
            *(
                tf.RaggedTensor.from_value_rowids(
                    part, sentence, tagged.tags.nrows(), validate=False
                )
                for part in parts
            )
        )

    def _in_parts(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """Logits [R, S, C], some rows at a time."""
        shape = [None, None, len(self.scheme.names)]
        return run_in_parts(self._task, batch, {"logits": shape})["logits"]

    def _tag_in_parts(self, batch: dict[str, tf.Tensor]) -> Tagged:
        """Tags and scores of the words at `columns` [R, S], -1: no word."""

        def tag(batch, training):
            columns = batch["columns"]
            rest = {k: v for k, v in batch.items() if k != "columns"}
            logits = self._task(rest, training=training)["logits"]
            lengths = tf.reduce_sum(tf.cast(columns >= 0, tf.int32), axis=1)
            logits = tf.gather(logits, tf.maximum(columns, 0), batch_dims=1)
            logits = tf.cast(logits, tf.float32)
            tagged = self.tag(tf.RaggedTensor.from_tensor(logits, lengths))
            return {n: v.to_tensor() for n, v in tagged._asdict().items()}

        shapes = dict.fromkeys(Tagged._fields, [None, None])
        tagged = run_in_parts(tag, batch, shapes)
        return Tagged(tf.cast(tagged["tags"], tf.int32), tagged["scores"])


def _shifted(values: tf.Tensor) -> tf.Tensor:
    """For each of the values [W] the one before; True for the first."""
    return tf.concat([tf.ones_like(values[:1]), values[:-1]], 0)


def _differs(values: tf.Tensor) -> tf.Tensor:
    """Whether each of the values [W] is another than the one before."""
    changed = values[1:] != values[:-1]
    return tf.concat([tf.ones_like(values[:1], tf.bool), changed], 0)


def words_of(words: tf.Tensor) -> tf.RaggedTensor:
    """Words [B, W], padded with "" at the end, as a RaggedTensor [B, None].

    An empty word before the last is a word.
    """
    place = tf.range(1, tf.shape(words)[1] + 1)[None]
    lengths = tf.reduce_max(tf.where(words == "", 0, place), axis=1)
    # Of no words the maximum is the smallest integer.
    lengths = tf.maximum(lengths, 0)
    return tf.RaggedTensor.from_tensor(words, lengths=lengths)


def padded(values: tf.RaggedTensor, filler) -> tf.Tensor:
    """A dense tensor; integers become int32."""
    if values.dtype == tf.int64:
        values = tf.cast(values, tf.int32)
    return values.to_tensor(filler)


def pick(
    values: tf.RaggedTensor,
    places: tf.RaggedTensor,
    rows: tf.Tensor | None = None,
) -> tf.RaggedTensor:
    """`values[rows[i], places[i, j]]` for all places; without rows, of i."""
    own = places.value_rowids()
    own = own if rows is None else tf.gather(rows, own)
    starts = tf.gather(values.row_splits, own)
    return places.with_values(tf.gather(values.values, starts + places.values))
