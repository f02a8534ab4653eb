import numpy as np
import scipy.stats

from trainers.finetuning.metrics import similarity


def test_figures_are_scipys():
    rng = np.random.default_rng(0)
    vectors = similarity.at(rng.normal(size=(23, 2, 6)).astype("float32"), 6)
    scores = rng.integers(0, 6, 23).astype("float32")
    found = similarity.cosines(vectors)
    np.testing.assert_allclose(found, [a @ b for a, b in vectors], rtol=1e-5)
    figures = similarity.figures(found, scores)
    wanted = scipy.stats.spearmanr(found, scores).statistic
    np.testing.assert_allclose(figures["spearman"], wanted, rtol=1e-6)
    wanted = scipy.stats.pearsonr(found, scores).statistic
    np.testing.assert_allclose(figures["pearson"], wanted, rtol=1e-5)


def test_first_dimensions_have_length_one():
    vectors = np.array([[3.0, 4.0, 12.0], [0.0, 0.0, 1.0]], "float32") / 13
    assert similarity.at(vectors, None) is vectors
    np.testing.assert_allclose(
        similarity.at(vectors, 2), [[0.6, 0.8], [0, 0]], rtol=1e-6
    )
