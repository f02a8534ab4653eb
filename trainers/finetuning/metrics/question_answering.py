"""Exact match and F1 of extractive answers, as the official scripts define.

For answers in words: the evaluation scripts of SQuAD 1.1 (Rajpurkar et al.
2016, section 6.1) and SQuAD 2.0 (Rajpurkar et al. 2018). For answers in
characters (Chinese): that of MLQA (Lewis et al. 2020, section 3.3), in which
each Chinese character is a token. Scores are from 0 to 1, where the scripts
print percent.
"""

import collections
import functools
import re
import string
import sys
import unicodedata
from collections.abc import Sequence

import numpy as np

UNITS = ("word", "character")

_ARTICLES = re.compile(r"\b(a|an|the)\b")
# What the scripts of MLQA and of CMRC 2018 take for a Chinese character.
_CHINESE = "\u4e00-\u9fa5"


def answer_tokens(text: str, unit: str) -> list[str]:
    """The tokens of an answer: lower case, without punctuation.

    Args:
      text: an answer.
      unit: "word" leaves English articles out and cuts at white space;
        "character" takes every Chinese character for a token as well.
    """
    if unit == "word":
        kept = text.lower().translate(_without(string.punctuation))
        return _ARTICLES.sub(" ", kept).split()
    kept = text.lower().translate(_without(_punctuation()))
    return re.sub(f"([{_CHINESE}])", r" \1 ", kept).split()


def score_answer(
    answer: str, gold: Sequence[str], unit: str, no_answer: bool = False
) -> tuple[float, float]:
    """Exact match and F1 with the gold answer that fits best.

    Args:
      answer: "" for none.
      gold: the right answers; none where there is no answer.
      unit: see `answer_tokens`.
      no_answer: whether "" may be right (SQuAD 2.0). Its script differs in
        one more point: where nothing is left of an answer but articles and
        punctuation, F1 is 1 for another such answer, 0 in version 1.1.
    """
    tokens = answer_tokens(answer, unit)
    golds = [answer_tokens(text, unit) for text in gold]
    if no_answer:
        golds = [some for some in golds if some] or [[]]
    if not golds:
        return 0.0, 0.0
    exact = max(float(tokens == some) for some in golds)
    return exact, max(_f1(tokens, some, no_answer) for some in golds)


def _f1(tokens: list[str], gold: list[str], no_answer: bool) -> float:
    if not tokens or not gold:
        return float(no_answer and tokens == gold)
    counts = collections.Counter(tokens) & collections.Counter(gold)
    same = sum(counts.values())
    if not same:
        return 0.0
    precision, recall = same / len(tokens), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def best_threshold(
    margins: np.ndarray, scores: np.ndarray, answerable: np.ndarray
) -> float:
    """The threshold that makes the mean score highest.

    A question gets its best span where its margin is at most the threshold,
    and "no answer" above it (`find_best_thresh` of SQuAD 2.0's script; unlike
    there, questions of equal margin are decided alike).

    Args:
      margins: score of no answer less that of the best span, float [N].
      scores: exact match or F1 of the best span, float [N]; 0 where there is
        no answer.
      answerable: whether there is an answer, bool [N].

    Returns:
      A number half-way between two margins, or beyond all of them: far from
      both, so that rounding decides nothing.
    """
    order = np.argsort(margins, kind="stable")
    margins = margins[order]
    # What is won when a question is given its span rather than no answer.
    gains = np.where(answerable, scores, -1.0)[order]
    totals = np.concatenate([[0.0], np.cumsum(gains)])
    # The threshold cannot stand between equal margins.
    ends = np.append(margins[1:] != margins[:-1], True)
    totals[1:][~ends] = -np.inf
    best = int(np.argmax(totals))
    if best == 0:
        return float(margins[0] - 1.0)
    below = margins[best - 1]
    above = margins[best] if best < len(margins) else np.inf
    return float((below + above) / 2 if np.isfinite(above) else below + 1.0)


@functools.cache
def _without(characters: str) -> dict[int, None]:
    return dict.fromkeys(map(ord, characters))


@functools.cache
def _punctuation() -> str:
    marks = (
        character
        for character in map(chr, range(sys.maxunicode))
        if unicodedata.category(character).startswith("P")
    )
    return "".join(marks) + string.punctuation
