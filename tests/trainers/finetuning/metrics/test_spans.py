import random

import pytest
import seqeval.metrics

from trainers.finetuning.metrics.roles import arguments
from trainers.finetuning.metrics.spans import Span, bio_spans, score

TAGS = ["O", "B-A", "I-A", "B-B", "I-B", "B-C-D", "I-C-D"]


def random_sentences(seed, count=300):
    draw = random.Random(seed)
    return [
        draw.choices(TAGS, weights=[6, 2, 4, 2, 4, 1, 1], k=draw.randint(1, 12))
        for _ in range(count)
    ]


def test_spans():
    tags = "B-A I-A B-A O I-B I-A I-A O B-C-D".split()
    assert bio_spans(tags) == [
        Span("A", 0, 2),
        Span("A", 2, 3),
        Span("B", 4, 5),
        Span("A", 5, 7),
        Span("C-D", 8, 9),
    ]
    assert bio_spans([]) == []


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_seqeval_on_any_tags(seed):
    gold, answers = random_sentences(seed), random_sentences(seed + 100)
    # Some of the answers are right, so that figures are not all near 0.
    answers = [
        g if i % 3 == 0 else (a * 12)[: len(g)]
        for i, (g, a) in enumerate(zip(gold, answers, strict=True))
    ]
    overall, by_type = score(
        [bio_spans(tags) for tags in gold],
        [bio_spans(tags) for tags in answers],
    )
    report = seqeval.metrics.classification_report(
        gold, answers, output_dict=True, zero_division=0
    )
    for name, got in (*by_type.items(), ("micro avg", overall)):
        wanted = report[name]
        assert got.precision == pytest.approx(wanted["precision"])
        assert got.recall == pytest.approx(wanted["recall"])
        assert got.f1 == pytest.approx(wanted["f1-score"])
        assert got.support == wanted["support"]
    assert 0.1 < overall.f1 < 0.9


def test_no_spans_at_all():
    overall, by_type = score([[]], [[]])
    assert overall == (0, 0, 0, 0, 0) and not by_type


def test_arguments():
    tags = (
        "B-V I-V B-ARG1 I-ARG1 B-C-ARG1 O B-R-ARG0 B-C-ARG2 B-C-V B-ARG1 "
        "B-C-ARG1 B-C-ARG1"
    ).split()
    assert arguments(tags) == [
        ("ARG1", ((2, 4), (4, 5))),
        ("R-ARG0", ((6, 7),)),
        # A continuation of nothing is an argument itself.
        ("ARG2", ((7, 8),)),
        # A continuation belongs to the last argument before it.
        ("ARG1", ((9, 10), (10, 11), (11, 12))),
    ]


def test_an_argument_is_right_with_all_its_pieces():
    gold = "B-ARG1 B-V B-C-ARG1 B-ARG0".split()
    answer = "B-ARG1 B-V O B-ARG0".split()
    overall, by_type = score([arguments(gold)], [arguments(answer)])
    assert overall[:3] == (0.5, 0.5, 0.5)
    assert by_type["ARG0"].f1 == 1 and by_type["ARG1"].f1 == 0
