"""Precision, recall and F1 of labelled spans.

A span counts as right when its type and all its words are right.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tfbert.tag_scheme import Span, read_spans, split_tag


def bio_spans(tags: Sequence[str]) -> list[Span]:
    """The spans of BIO tags, in order; of illegal tags see `read_spans`."""
    return read_spans(map(split_tag, tags))


class SpanScore(NamedTuple):
    """Figures of one type, or of all together; 0 where they would be 0 / 0.

    Attributes:
      precision, recall, f1: in 0 to 1.
      support: spans in the gold data.
      predicted: spans in the answers.
    """

    precision: float
    recall: float
    f1: float
    support: int
    predicted: int

    @classmethod
    def of(cls, right: int, support: int, predicted: int) -> "SpanScore":
        """From counts."""
        precision = right / predicted if predicted else 0.0
        recall = right / support if support else 0.0
        total = support + predicted
        f1 = 2 * right / total if total else 0.0
        return cls(precision, recall, f1, support, predicted)


def score(
    gold: Iterable[Sequence[tuple]], answers: Iterable[Sequence[tuple]]
) -> tuple[SpanScore, dict[str, SpanScore]]:
    """Compares the spans of sentences.

    Args:
      gold: for each sentence its spans, tuples whose first item is the type;
        no two alike.
      answers: likewise.

    Returns:
      The score over all spans ("micro"), and of each type that occurs.
    """
    right: Counter = Counter()
    support: Counter = Counter()
    predicted: Counter = Counter()
    for wanted, got in zip(gold, answers, strict=True):
        support.update(span[0] for span in wanted)
        predicted.update(span[0] for span in got)
        right.update(span[0] for span in set(wanted) & set(got))
    by_type = {
        name: SpanScore.of(right[name], support[name], predicted[name])
        for name in sorted(support | predicted)
    }
    overall = SpanScore.of(right.total(), support.total(), predicted.total())
    return overall, by_type
