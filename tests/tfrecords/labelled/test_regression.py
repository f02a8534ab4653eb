import math

import pytest

from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.score_limit import LARGEST_SCORE
from tfbert.tasks import RegressionTask
from tfrecords.labelled import regression, sentences

CONFIG = BertConfig.preset("tiny", vocab_size=50, num_hidden_layers=1)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("good", r"d\.tsv:2: 'good' is no number"),
        ("nan", r"d\.tsv:2: 'nan' is no number"),
        ("1e39", r"d\.tsv:2: the score '1e39' is beyond 1e\+18"),
        ("-1e300", "too large to learn with"),
        ("1" * 5000, "too large|is no number"),
    ],
)
def test_scores_are_numbers(tmp_path, label, message):
    path = tmp_path / "d.tsv"
    path.write_text(f"text\tlabel\na\t{label}\n")
    examples = sentences.read_examples(path, ["text"], "label")
    with pytest.raises(UserError, match=message):
        regression.scores(examples)


@pytest.mark.parametrize("score", [LARGEST_SCORE, -LARGEST_SCORE])
def test_scores_that_are_read_can_be_learnt(tmp_path, score):
    path = tmp_path / "d.tsv"
    path.write_text(f"text\tlabel\na\t{score}\nb\t{score}\n")
    examples = sentences.read_examples(path, ["text"], "label")
    mean = float(regression.scores(examples).mean())
    assert RegressionTask(CONFIG, mean, LARGEST_SCORE).mean == mean
    for mean, scale in ((2 * score, 1.0), (0.0, abs(2 * score)), (math.nan, 1)):
        with pytest.raises(UserError, match="that float32 holds squared"):
            RegressionTask(CONFIG, mean, scale)
