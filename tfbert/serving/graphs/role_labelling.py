"""Graphs that find predicates and the arguments of each.

Legend: B texts, W words, P predicates, A arguments, E predicates of all texts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tfbert.serving.graphs import request_bounds
from tfbert.serving.graphs.checked_inputs import signature
from tfbert.serving.graphs.embedding import embed_function
from tfbert.serving.graphs.segments import check_segments
from tfbert.serving.graphs.servable import STRINGS, Servable, on_text
from tfbert.serving.graphs.tagging import WORDS, Spans, Tagger, padded, words_of
from tfbert.serving.graphs.token_labelling import span_texts
from tfbert.tag_scheme import TagScheme
from tfbert.text.windows.sentences import around

PREDICATE_TAG = "B-V"
_PREDICATE_TAGS = (PREDICATE_TAG, "I-V", "B-C-V", "I-C-V")
_PLACES = tf.TensorSpec([None], tf.int32)


class RoleLabeller(tf.Module):
    """The functions behind the signatures of a role labelling model.

    All answer with

    - `predicates`, int32 [B, P], the number of each predicate's word, and
      `predicate_scores`, float32 [B, P];
    - `role_labels`, string, `role_scores`, float32 (means over words),
      `role_starts` and `role_ends`, int32, end exclusive, [B, P, A] each.
      Tags are legal BIO, so the arguments of a predicate do not overlap.

    For texts `role_starts` and `role_ends` are characters (code points), and
    there are `role_texts`, string [B, P, A], and the words that BERT's basic
    tokenizer finds: `words`, string, `starts` and `ends`, int32, [B, W] each.
    For words that are apart already they count words.

    Where a predicate is given, P is 1; a number that is no word's is answered
    by no predicate (-1). Rows are filled up with "", -1 and 0. Of a sentence
    longer than a row, arguments are looked for where the row that has the
    predicate in its middle reaches.

    Args:
      task: a TokenLabellingTask.
      tokenizer: the Tokenizer that it was trained with.
      labels: names of the tags, of `bio_tags`; B-V among them.
      max_length: longest row in tokens; longer texts take several.
      most: of it `max_text_bytes` and `max_predicates` are used.
    """

    def __init__(
        self,
        task,
        tokenizer,
        labels: Sequence[str],
        max_length: int,
        most: request_bounds.Limits = request_bounds.DEFAULT,
    ):
        super().__init__(name="role_labeller")
        self._names = list(labels)
        self._max_length = max_length
        self._most = most
        self._scheme = TagScheme.of(labels, "IOB2")
        self._tagger = Tagger(task, tokenizer, self._scheme, max_length)

    def text(
        self, text: tf.Tensor, predicate: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """Roles in texts, string [B]; predicates int32 [B] or found."""
        text = tf.strings.substr(text, 0, self._most.max_text_bytes)
        split = self._tagger.sentences.split(text)
        found, answer, spans = self._roles(split.pieces, predicate)
        answer.update(
            {
                "words": padded(split.words, ""),
                "starts": padded(split.starts, -1),
                "ends": padded(split.ends, -1),
            }
        )
        texts = span_texts(
            text, split, spans.firsts, spans.lasts, found.sentence
        )
        for name, filler in (("texts", ""), ("starts", -1), ("ends", -1)):
            answer[f"role_{name}"] = found.by_text(
                texts[f"span_{name}"], filler
            )
        return answer

    def words(
        self, words: tf.Tensor, predicate: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """Roles of words [B, W] that are apart already."""
        pieces = self._tagger.sentences.pieces(words_of(words))
        found, answer, spans = self._roles(pieces, predicate)
        answer["role_starts"] = found.by_text(padded(spans.firsts, -1), -1)
        answer["role_ends"] = found.by_text(padded(spans.lasts + 1, -1), -1)
        return answer

    def _roles(
        self, pieces: tf.RaggedTensor, predicate: tf.Tensor | None
    ) -> tuple["_Predicates", dict[str, tf.Tensor], Spans]:
        """The predicates, answers [B, P, ...], arguments [E, None]."""
        if predicate is None:
            found = self._find(pieces)
        else:
            found = _given(pieces, predicate)
        near = around(pieces, found.sentence, found.word, self._max_length)
        spans = self._tagger.spans(self._tagger.tag_near(near))
        spans = self._without_predicate(spans)
        before = tf.gather(near.firsts, spans.firsts.value_rowids())
        spans = spans._replace(
            firsts=spans.firsts.with_values(spans.firsts.values + before),
            lasts=spans.lasts.with_values(spans.lasts.values + before),
        )
        types = tf.constant(self._scheme.types)
        answer = {
            "predicates": found.by_text(tf.cast(found.word, tf.int32), -1),
            "predicate_scores": found.by_text(found.scores, 0),
            "role_labels": found.by_text(
                padded(tf.gather(types, spans.tags), ""), ""
            ),
            "role_scores": found.by_text(padded(spans.scores, 0), 0),
        }
        return found, answer, spans

    def _find(self, pieces: tf.RaggedTensor) -> "_Predicates":
        """The predicates of sentences.

        In a sentence without a mark the model was taught B-V for predicates
        and O for all else.
        """
        logits = self._tagger.logits(pieces)
        flat = logits.values  # [W, C]
        verb = self._names.index(PREDICATE_TAG)
        found = flat[:, verb] > flat[:, self._scheme.outside]
        places = tf.where(logits.with_values(found).to_tensor(False))
        scores = tf.boolean_mask(tf.nn.softmax(flat)[:, verb], found)
        sentence, word = places[:, 0], places[:, 1]
        number = tf.range(tf.size(sentence)) - tf.searchsorted(
            sentence, sentence
        )
        kept = number < self._most.max_predicates
        sentence, word, scores = (
            tf.boolean_mask(part, kept) for part in (sentence, word, scores)
        )
        return _Predicates(sentence, word, scores, pieces.nrows(), least=0)

    def _without_predicate(self, spans: Spans) -> Spans:
        is_predicate = tf.constant(
            [name in _PREDICATE_TAGS for name in self._names]
        )
        kept = ~tf.gather(is_predicate, spans.tags)
        return Spans(*(tf.ragged.boolean_mask(part, kept) for part in spans))


class _Predicates(NamedTuple):
    """Predicates of all texts.

    Attributes:
      sentence, word: int64 [E].
      scores: float32 [E].
      texts: B.
      least: the least P of an answer.
    """

    sentence: tf.Tensor
    word: tf.Tensor
    scores: tf.Tensor
    texts: tf.Tensor
    least: int

    def by_text(self, values: tf.Tensor, filler) -> tf.Tensor:
        """Values [E, ...] in the rows of their texts, [B, P, ...]."""
        rows = tf.RaggedTensor.from_value_rowids(
            values, self.sentence, self.texts, validate=False
        ).to_tensor(filler)
        missing = tf.maximum(self.least - tf.shape(rows)[1], 0)
        padding = [[0, 0], [0, missing]] + [[0, 0]] * (rows.shape.rank - 2)
        return tf.pad(rows, padding, constant_values=filler)


def _given(pieces: tf.RaggedTensor, predicate: tf.Tensor) -> _Predicates:
    """Those of the predicates [B] that are words."""
    words = tf.cast(pieces.row_lengths(), tf.int32)
    sentence = tf.where((predicate >= 0) & (predicate < words))[:, 0]
    word = tf.cast(tf.gather(predicate, sentence), tf.int64)
    scores = tf.ones_like(sentence, tf.float32)
    return _Predicates(sentence, word, scores, pieces.nrows(), least=1)


def role_labeller(
    task,
    tokenizer,
    labels: Sequence[str],
    max_length: int,
    finds_predicates: bool = True,
    most: request_bounds.Limits = request_bounds.DEFAULT,
) -> Servable:
    """A servable with the signatures of a role labelling model.

    `serving_default` takes `text`, `given` also `predicate`; `words` takes
    `words`, `words_given` also `predicate`; `embed` is `embedder`'s. Of a
    model that finds no predicates the first of each pair takes `predicate`
    too. See RoleLabeller for the answers.

    Args:
      task, tokenizer, labels, max_length, most: see RoleLabeller.
      finds_predicates: whether the model was taught to find predicates.

    Raises:
      UserError: the encoder has one segment, and no room for the mark.
    """
    check_segments(task, "marks of predicates")
    labeller = RoleLabeller(task, tokenizer, labels, max_length, most)

    @signature(STRINGS, _PLACES)
    def given(text, predicate):
        return labeller.text(text, predicate)

    @signature(WORDS, _PLACES)
    def words_given(words, predicate):
        return labeller.words(words, predicate)

    @signature(WORDS)
    def of_words(words):
        return labeller.words(words)

    signatures = {
        "serving_default": given,
        "given": given,
        "words": words_given,
        "words_given": words_given,
        "embed": on_text(embed_function(task.encoder, tokenizer, max_length)),
    }
    if finds_predicates:
        signatures["serving_default"] = on_text(labeller.text)
        signatures["words"] = of_words
    return Servable(task, labeller, signatures)
