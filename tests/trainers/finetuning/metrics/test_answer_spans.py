"""The graph that is served and the evaluator give the same answers."""

import random
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfbert.config import BertConfig
from tfbert.serving.graphs import question_answering as serving
from tfbert.tasks.question_answering import QuestionAnsweringTask
from tfbert.text.tokenizer import Tokenizer
from tfrecords.labelled import question_rows
from tfrecords.labelled.question_answering import Examples
from trainers.finetuning.metrics.answer_spans import candidates

VOCABULARY = """[PAD] [UNK] [CLS] [SEP] [MASK] a b c x ##x ##y y z é ß 東 京 .
, ! e""".split()
WORDS = "a b c x xx xyy z É e\u0301 東京 . , \U0001f600 \u200d \t ﬁ q̣̇".split(
    " "
)
LENGTHS = {"max_length": 16, "window_stride": 4, "max_question_length": 6}
LONGEST = 5


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(VOCABULARY)


@pytest.fixture(scope="module")
def task():
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        initializer_range=0.3,
    )
    return QuestionAnsweringTask(config, seed=3)


@pytest.fixture(scope="module")
def answer(task, tokenizer):
    """The served function; returns arrays."""
    function = tf.function(
        serving.answer_function(
            task, tokenizer, max_answer_length=LONGEST, **LENGTHS
        ),
        input_signature=[tf.TensorSpec([None], tf.string)] * 2,
    )

    def answer(questions, contexts):
        columns = (
            tf.constant(list(c), tf.string) for c in (questions, contexts)
        )
        return {k: v.numpy() for k, v in function(*columns).items()}

    return answer


@pytest.fixture(scope="module")
def examples():
    draw = random.Random(0)

    def text(most):
        return " ".join(draw.choices(WORDS, k=draw.randrange(most)))

    # More windows than one forward pass computes.
    texts = [(text(9), text(60)) for _ in range(60)] + [("", ""), ("a", "\t")]
    return Examples(
        Path("x"),
        list(range(len(texts))),
        list(map(str, range(len(texts)))),
        *map(list, zip(*texts, strict=True)),
        [[] for _ in texts],
    )


@pytest.fixture(scope="module")
def encoded(examples, tokenizer):
    return question_rows.encode(examples, tokenizer, **LENGTHS)


@pytest.fixture(scope="module")
def logits(task, encoded):
    columns = encoded.columns
    batch = {k: np.int32(columns[k]) for k in question_rows.TOKEN_KEYS}
    outputs = task(batch)
    return [np.array(outputs[f"{end}_logits"]) for end in ("start", "end")]


def test_candidates_are_the_best_of_all(encoded, logits):
    found = candidates(*logits, encoded, LONGEST, 7)
    for n, one in enumerate(found):
        scores, none = {}, []
        for row in np.flatnonzero(encoded.example == n):
            start, end = logits[0][row], logits[1][row]
            none.append(start[0] + end[0])
            column, count = encoded.column[row], encoded.count[row]
            shift = encoded.splits[n] + encoded.first[row] - column
            for i in range(column, column + count):
                for j in range(i, min(i + LONGEST, column + count)):
                    place = (i + shift, j + shift)
                    score = float(start[i] + end[j])
                    scores[place] = max(score, scores.get(place, -np.inf))
        ranked = sorted(scores, key=scores.get, reverse=True)[:7]
        got = [score for score, _, _ in one.spans]
        assert got == [scores[place] for place in ranked]
        assert one.no_answer_score == pytest.approx(min(none))
        for span, (first, last) in zip(one.spans, ranked, strict=True):
            assert span.start == encoded.starts[first]
            assert span.end == encoded.ends[last]


def test_the_best_of_equals_is_the_first(encoded, logits):
    flat = [np.zeros_like(array) for array in logits]
    for most in (1, 3):
        for n, one in enumerate(candidates(*flat, encoded, LONGEST, most)):
            if one.spans:
                assert one.spans[0][1:] == (
                    encoded.starts[encoded.splits[n]],
                    encoded.ends[encoded.splits[n]],
                )


def test_served_answers_are_the_evaluators(answer, examples, encoded, logits):
    served = answer(examples.questions, examples.contexts)
    found = candidates(*logits, encoded, LONGEST, 3)
    assert sum(not one.spans for one in found) >= 2
    for n, one in enumerate(found):
        if not one.spans:
            assert served["answer"][n] == b""
            assert served["start"][n] == served["end"][n] == -1
            continue
        best = one.spans[0]
        assert (served["start"][n], served["end"][n]) == best[1:]
        cut = examples.contexts[n][best.start : best.end]
        assert served["answer"][n].decode() == cut
        assert served["score"][n] == pytest.approx(best.score, abs=1e-5)
        assert served["no_answer_score"][n] == pytest.approx(
            one.no_answer_score, abs=1e-5
        )


def test_answers_do_not_depend_on_batch_mates(answer, examples):
    together = answer(examples.questions, examples.contexts)
    for n in range(0, len(examples), 6):
        alone = answer(
            examples.questions[n : n + 1], examples.contexts[n : n + 1]
        )
        for name, value in alone.items():
            if value.dtype == np.float32:
                close = {"rel": 1e-6, "abs": 1e-6}
                assert value[0] == pytest.approx(together[name][n], **close)
            else:
                assert value[0] == together[name][n]


def test_odd_input_is_answered(answer):
    odd = [b"", b"\xff\xfe\x80", b" \t\n", b"x" * 1_000_000, b"a \xff\xc3 b"]
    for questions in (odd, odd[::-1]):
        got = answer(questions, odd)
        assert got["answer"].shape == (5,)
        assert np.isfinite(got["score"]).all()
        for name in ("answer", "start"):
            assert len(got[name]) == 5
        for text, start, end, raw in zip(
            got["answer"], got["start"], got["end"], odd, strict=True
        ):
            if start >= 0:
                want = raw.decode("utf-8", "replace")[start:end]
                assert text.decode("utf-8") == want


def test_a_batch_of_none_is_answered(answer):
    assert {v.shape for v in answer([], []).values()} == {(0,)}


def test_a_threshold_decides_for_no_answer(task, tokenizer, answer, examples):
    questions, contexts = examples.questions[:30], examples.contexts[:30]
    plain = answer(questions, contexts)
    margins = plain["no_answer_score"] - plain["score"]
    threshold = float(np.median(margins))
    decide = serving.answer_function(
        task,
        tokenizer,
        max_answer_length=LONGEST,
        threshold=threshold,
        **LENGTHS,
    )
    got = decide(tf.constant(questions), tf.constant(contexts))
    for n, margin in enumerate(margins):
        if abs(margin - threshold) < 1e-4:
            continue
        if margin > threshold:
            assert got["answer"][n].numpy() == b""
            assert got["start"][n].numpy() == -1
        else:
            assert got["answer"][n].numpy() == plain["answer"][n]
