"""Classes, sets of labels and scores: oracles are scikit-learn and SciPy."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from sklearn import metrics

from trainers.finetuning.metrics import classification, multi_label, regression


@pytest.fixture(params=[0, 1, 2])
def draw(request):
    return np.random.default_rng(request.param)


def test_log_softmax_is_scipys(draw):
    logits = 50 * draw.normal(size=[9, 5]).astype(np.float32)
    logits[0, 1] = -1e9
    np.testing.assert_allclose(
        classification.log_softmax(logits),
        scipy.special.log_softmax(logits, axis=1),
        rtol=1e-5,
    )


@pytest.mark.parametrize("classes", [2, 5])
def test_classes(draw, classes):
    gold = draw.integers(0, classes, 60)
    predicted = np.where(draw.random(60) < 0.5, gold, draw.integers(0, 2, 60))
    counts = classification.confusion(gold, predicted, classes)
    labels = np.arange(classes)
    wanted = metrics.confusion_matrix(gold, predicted, labels=labels)
    np.testing.assert_array_equal(counts, wanted)
    assert classification.matthews(counts) == pytest.approx(
        metrics.matthews_corrcoef(gold, predicted)
    )
    found = classification.per_class(counts)
    wanted = metrics.precision_recall_fscore_support(
        gold, predicted, labels=labels, zero_division=0
    )
    for name, values in zip(
        ("precision", "recall", "f1", "support"), wanted, strict=True
    ):
        np.testing.assert_allclose(found[name], values, err_msg=name)


def test_what_is_undefined_is_zero():
    counts = classification.confusion(np.array([0, 1]), np.array([0, 0]), 2)
    assert classification.matthews(counts) == 0
    constant = np.ones(4, np.float32)
    assert regression.pearson(constant, np.arange(4.0)) == 0
    assert regression.spearman(np.arange(4.0), constant) == 0


def test_scores(draw):
    gold = draw.normal(size=50).astype(np.float32)
    # Ties, as scores of a scale from 0 to 5 have many.
    scores = np.round(gold + draw.normal(size=50), 0).astype(np.float32)
    assert regression.pearson(gold, scores) == pytest.approx(
        scipy.stats.pearsonr(gold, scores).statistic
    )
    assert regression.spearman(gold, scores) == pytest.approx(
        scipy.stats.spearmanr(gold, scores).statistic
    )
    np.testing.assert_array_equal(
        regression.ranks(scores), scipy.stats.rankdata(scores)
    )


def test_sets_of_labels(draw):
    gold = draw.integers(0, 2, [40, 4], dtype=np.int8)
    chosen = gold ^ (draw.random([40, 4]) < 0.3).astype(np.int8)
    chosen[:, 3] = 0
    counts = multi_label.counts(gold, chosen)
    found = multi_label.precision_recall_f1(**counts)
    wanted = metrics.precision_recall_fscore_support(
        gold, chosen, zero_division=0
    )
    for mine, theirs in zip(found, wanted[:3], strict=True):
        np.testing.assert_allclose(mine, theirs)
    total = {name: values.sum() for name, values in counts.items()}
    micro = multi_label.precision_recall_f1(**total)[2]
    assert micro == pytest.approx(
        metrics.f1_score(gold, chosen, average="micro")
    )
