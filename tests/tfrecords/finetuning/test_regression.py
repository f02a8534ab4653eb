import pytest

from tfbert.errors import UserError
from tfrecords.finetuning import regression, sentences


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
