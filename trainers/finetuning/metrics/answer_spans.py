"""Start and end logits of windows -> the best answers of each question.

The offline twin of `tfbert.serving.graphs.question_answering`, with a list of
the best answers rather than the best alone.
"""

from typing import NamedTuple

import numpy as np

from tfrecords.labelled.question_rows import Encoded


class Span(NamedTuple):
    """A possible answer: its score, and characters [start, end)."""

    score: float
    start: int
    end: int


class Candidates(NamedTuple):
    """What the model thinks of a question.

    Attributes:
      spans: the best answers, the best first; none where the context has no
        tokens.
      no_answer_score: of the answer "none".
    """

    spans: list[Span]
    no_answer_score: float

    @property
    def margin(self) -> float:
        """How much better "none" is than the best span."""
        if not self.spans:
            return float("inf")
        return self.no_answer_score - self.spans[0].score


def candidates(
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    encoded: Encoded,
    max_answer_length: int,
    n_best: int,
) -> list[Candidates]:
    """Scores every span of every window (Devlin et al., 4.2 and 4.3).

    The score of a span is the sum of its start and its end logit; that of a
    span in several windows the highest. The score of "no answer" is that of
    [CLS] in the window where it is lowest: all windows must say so
    (google-research/bert, `run_squad.py`).

    Args:
      start_logits, end_logits: float32 [R, S].
      encoded: the rows that they belong to.
      max_answer_length: most tokens of an answer.
      n_best: most spans of a question.

    Returns:
      One for each of the N questions.
    """
    found: list[dict[tuple[int, int], float]] = [
        {} for _ in range(len(encoded.splits) - 1)
    ]
    none = np.full(len(found), np.inf)
    np.minimum.at(
        none,
        encoded.example,
        (start_logits[:, 0] + end_logits[:, 0]).astype(np.float64),
    )
    for row, n in enumerate(encoded.example):
        first, column = encoded.first[row], encoded.column[row]
        own = slice(column, column + encoded.count[row])
        best = _best_of_row(
            start_logits[row, own],
            end_logits[row, own],
            max_answer_length,
            n_best,
        )
        for score, start, end in best:
            place = (first + start, first + end)
            before = found[n].get(place, -np.inf)
            found[n][place] = max(score, before)
    result = []
    for n, scores in enumerate(found):
        starts = encoded.starts[encoded.splits[n] :]
        ends = encoded.ends[encoded.splits[n] :]
        # Sorting is stable: of equal scores the first window's stays first.
        ranked = sorted(scores.items(), key=lambda item: -item[1])[:n_best]
        spans = [
            Span(score, int(starts[first]), int(ends[last]))
            for (first, last), score in ranked
        ]
        result.append(Candidates(spans, float(none[n])))
    return result


def _best_of_row(
    starts: np.ndarray, ends: np.ndarray, longest: int, most: int
) -> list[tuple[float, int, int]]:
    """(score, first, last) of the best spans of one window's context."""
    if not len(starts):
        return []
    padded = np.pad(ends, (0, longest - 1), constant_values=-np.inf)
    reach = np.lib.stride_tricks.sliding_window_view(padded, longest)
    scores = (starts[:, None] + reach).ravel()  # [context, longest]
    if most < scores.size:
        least = np.partition(scores, -most)[-most]
    else:
        least = -np.inf
    good = np.flatnonzero((scores >= least) & np.isfinite(scores))
    # By score, then by place: ties do not depend on the partition.
    good = good[np.argsort(-scores[good], kind="stable")][:most]
    return [
        (float(scores[i]), int(i // longest), int(i // longest + i % longest))
        for i in good
    ]
