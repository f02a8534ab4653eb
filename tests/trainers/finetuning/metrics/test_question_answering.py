"""Properties, and the official scripts where they are at hand."""

import collections
import random

import numpy as np
import pytest

from trainers.finetuning.metrics.question_answering import (
    answer_tokens,
    best_threshold,
    score_answer,
)

WORDS = """the a an The cat Cat's cat, sat -- . ! mat 东 京 東京 東京。 «x» ß é
E\u0301 \u00a0 1,000 U.S. U.S ２ ’s""".split(" ")


def draws(count, seed=0):
    """Pairs of an answer and right answers that often overlap."""
    draw = random.Random(seed)

    def text():
        words = draw.choices(WORDS, k=draw.randrange(5))
        return draw.choice([" ", " ", "", "  "]).join(words)

    for _ in range(count):
        yield text(), [text() for _ in range(draw.randrange(1, 4))]


def test_tokens():
    words = "The  cat's, a Mat"
    assert answer_tokens(words, "word") == ["cats", "mat"]
    assert answer_tokens("the a", "word") == []
    mixed = "在1786年，《Aa b》"
    assert answer_tokens(mixed, "character") == ["在", "1786", "年", "aa", "b"]
    assert answer_tokens("the 東", "character") == ["the", "東"]


def test_scores_that_can_be_worked_out():
    assert score_answer("the cat", ["Cat."], "word") == (1, 1)
    # Two of three and two of four tokens.
    exact, f1 = score_answer("x y z", ["a x y v w"], "word")
    assert exact == 0 and f1 == pytest.approx(2 * 2 / (3 + 4))
    assert score_answer("dog", ["cat", "dog"], "word") == (1, 1)
    assert score_answer("東京市", ["東京"], "character")[1] == pytest.approx(
        0.8
    )
    # Nothing left of either: the versions of the script differ.
    assert score_answer("the", ["a"], "word") == (1, 0)
    assert score_answer("", [], "word", no_answer=True) == (1, 1)
    assert score_answer("x", [], "word", no_answer=True) == (0, 0)
    assert score_answer("", [], "word") == (0, 0)


def test_scores_are_those_of_the_plain_definition():
    """The scripts' steps, one after the other, written once more."""
    for answer, golds in draws(2000):
        want = []
        for gold in golds:
            bags = [
                collections.Counter(answer_tokens(text, "word"))
                for text in (answer, gold)
            ]
            sizes = [sum(bag.values()) for bag in bags]
            same = sum(min(bags[0][token], bags[1][token]) for token in bags[0])
            want.append(2 * same / sum(sizes) if same else 0.0)
        exact, f1 = score_answer(answer, golds, "word")
        assert f1 == pytest.approx(max(want))
        assert 0 <= f1 <= 1
        if exact and answer_tokens(answer, "word"):
            assert f1 == 1
        for unit in ("word", "character"):
            assert score_answer(golds[0], golds, unit)[0] == 1


@pytest.mark.parametrize("seed", range(30))
def test_no_threshold_is_better(seed):
    draw = np.random.default_rng(seed)
    size = int(draw.integers(1, 30))
    margins = draw.integers(-5, 6, size).astype(float)
    answerable = draw.random(size) < 0.6
    scores = np.where(answerable, draw.random(size), 0.0)

    def total(threshold):
        return np.where(margins <= threshold, scores, ~answerable).sum()

    best = total(best_threshold(margins, scores, answerable))
    for threshold in np.arange(-6, 6.5, 0.5):
        assert total(threshold) <= best + 1e-9


def test_equal_to_the_official_scripts():
    first = pytest.importorskip("official.nlp.tools.squad_evaluate_v1_1")
    second = pytest.importorskip("official.nlp.tools.squad_evaluate_v2_0")
    for number, (answer, golds) in enumerate(draws(5000, seed=1)):
        want = (
            max(first._exact_match_score(answer, gold) for gold in golds),
            max(first._f1_score(answer, gold) for gold in golds),
        )
        assert score_answer(answer, golds, "word") == want
        right = golds if number % 3 else []
        answers = [{"text": gold} for gold in right]
        data = [{"paragraphs": [{"qas": [{"id": "1", "answers": answers}]}]}]
        exact, f1 = second._get_raw_scores(data, {"1": answer})
        got = score_answer(answer, right, "word", no_answer=True)
        assert got == (exact["1"], f1["1"])
