"""Graphs that label the words of a text, or words that are apart already.

Legend: B texts, W words, N spans.
"""

from collections.abc import Sequence

import tensorflow as tf

from tfbert.serving.graphs import request_bounds
from tfbert.serving.graphs.checked_inputs import signature
from tfbert.serving.graphs.embedding import embed_function
from tfbert.serving.graphs.servable import Servable, on_text
from tfbert.serving.graphs.tagging import (
    WORDS,
    Spans,
    Tagged,
    Tagger,
    padded,
    pick,
    words_of,
)
from tfbert.tag_scheme import TagScheme
from tfbert.text.spans import Characters
from tfbert.text.windows.sentences import TextWords


class TokenLabeller(tf.Module):
    """The functions behind the signatures of a token labelling model.

    `text` maps `text`, string [B], to

    - `words`, string [B, W], the words that BERT's basic tokenizer finds;
      `starts` and `ends`, int32 [B, W], their characters (code points), end
      exclusive; `labels`, string [B, W], and `scores`, float32 [B, W].
    - of labels that stand for spans, and are always legal, the spans too:
      `span_labels` and `span_texts`, string [B, N]; `span_starts` and
      `span_ends`, int32 [B, N], in characters; `span_scores`, float32 [B, N],
      means over words.

    `words` maps `words`, string [B, W] padded with "", to `labels`, `scores`,
    `span_labels`, `span_scores`, `span_starts` and `span_ends`; the last two
    count words.

    Rows are filled up with "", -1 and 0.

    Args:
      task: a TokenLabellingTask.
      tokenizer: the Tokenizer that it was trained with.
      labels: names of the tags.
      max_length: longest row in tokens; longer texts take several.
      scheme: of the tags, see `TagScheme.of`.
      most: of it `max_text_bytes` is used.
    """

    def __init__(
        self,
        task,
        tokenizer,
        labels: Sequence[str],
        max_length: int,
        scheme: str | None = None,
        most: request_bounds.Limits = request_bounds.DEFAULT,
    ):
        super().__init__(name="token_labeller")
        self._most = most
        self._scheme = TagScheme.of(labels, scheme)
        self._tagger = Tagger(task, tokenizer, self._scheme, max_length)

    def text(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Labels the words of texts."""
        text = tf.strings.substr(text, 0, self._most.max_text_bytes)
        split = self._tagger.sentences.split(text)
        tagged = self._tagger.tag(self._tagger.logits(split.pieces))
        answer = {
            "words": padded(split.words, ""),
            "starts": padded(split.starts, -1),
            "ends": padded(split.ends, -1),
            **self._labels(tagged),
        }
        if self._scheme.has_spans:
            spans = self._tagger.spans(tagged)
            answer.update(self._span_labels(spans))
            answer.update(span_texts(text, split, spans.firsts, spans.lasts))
        return answer

    def words(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
        """Labels words [B, W] that are apart already."""
        pieces = self._tagger.sentences.pieces(words_of(words))
        tagged = self._tagger.tag(self._tagger.logits(pieces))
        answer = self._labels(tagged)
        if self._scheme.has_spans:
            spans = self._tagger.spans(tagged)
            answer.update(self._span_labels(spans))
            answer["span_starts"] = padded(spans.firsts, -1)
            answer["span_ends"] = padded(spans.lasts + 1, -1)
        return answer

    def _labels(self, tagged: Tagged) -> dict[str, tf.Tensor]:
        names = tf.gather(tf.constant(self._scheme.names), tagged.tags)
        return {
            "labels": padded(names, ""),
            "scores": padded(tagged.scores, 0),
        }

    def _span_labels(self, spans: Spans) -> dict[str, tf.Tensor]:
        types = tf.constant(self._scheme.types)
        return {
            "span_labels": padded(tf.gather(types, spans.tags), ""),
            "span_scores": padded(spans.scores, 0),
        }


def span_texts(
    text: tf.Tensor,
    split: TextWords,
    firsts: tf.RaggedTensor,
    lasts: tf.RaggedTensor,
    rows: tf.Tensor | None = None,
) -> dict[str, tf.Tensor]:
    """Text and characters of spans of words, dense.

    Args:
      text: string [B].
      split: its words.
      firsts, lasts: int64 [R, None], first and last word of each span.
      rows: int64 [R], the text that each row is about; R may be B without.

    Returns:
      span_texts, string, and span_starts and span_ends, int32, [R, N].
    """
    starts = pick(split.starts, firsts, rows)
    ends = pick(split.ends, lasts, rows)
    own = firsts.value_rowids()
    own = own if rows is None else tf.gather(rows, own)
    texts = Characters(text).cut(own, starts.values, ends.values)
    return {
        "span_texts": padded(firsts.with_values(texts), ""),
        "span_starts": padded(starts, -1),
        "span_ends": padded(ends, -1),
    }


def token_labeller(
    task,
    tokenizer,
    labels: Sequence[str],
    max_length: int,
    scheme: str | None = None,
    most: request_bounds.Limits = request_bounds.DEFAULT,
) -> Servable:
    """A servable with the signatures `serving_default`, `words` and `embed`.

    See TokenLabeller; `serving_default` is its `text`, and `embed` is
    `embedder`'s.
    """
    labeller = TokenLabeller(task, tokenizer, labels, max_length, scheme, most)

    @signature(WORDS)
    def of_words(words):
        return labeller.words(words)

    signatures = {
        "serving_default": on_text(labeller.text),
        "words": of_words,
        "embed": on_text(embed_function(task.encoder, tokenizer, max_length)),
    }
    return Servable(task, labeller, signatures)
