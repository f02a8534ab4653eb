from pathlib import Path

import pytest

from tfbert.errors import UserError
from tfrecords.labelled.label_counts import check_classes, remarks

PATH = Path("train.tsv")


def test_counts_come_with_the_commonest_first():
    assert remarks(["b", "a", "a"] * 4) == ["classes in train: a 8, b 4"]
    assert remarks(["x"] * 3 + ["y"] * 2, ["x"], "spans") == [
        "spans in train: x 3, y 2",
        "spans that validation has no example of: 1 of 2 ('y')",
    ]
    many = [str(i) for i in range(30) for _ in range(2)]
    assert remarks(many)[0].endswith(", 19 2 and 10 more, down to 2")
    assert remarks([]) == []


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "a", "b"], "single example: 1 of 2 ('b')"),
        (["a", "nan"] * 2, "'nan' is learnt as one of the classes"),
        (["1.5", "2.5", "3"] * 2, "use --task regression"),
    ],
)
def test_what_is_suspicious_is_said(labels, message):
    (found,) = remarks(labels)[1:]
    assert message in found


def test_usual_columns_are_not_suspicious():
    for labels in (["0", "1"], ["0.0", "1.0", "2.0"], ["no", "yes", "nano"]):
        assert len(remarks(labels * 2)) == 1
        check_classes(PATH, labels * 20)
    # Small files may have one example of each.
    check_classes(PATH, ["a", "b"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([f"{i / 7:.3f}" for i in range(40)], "train.tsv: each of 40.*regress"),
        ([f"id{i}" for i in range(40)], "own .*'id0'.*check data.label_column"),
        (["0", "1", "nan"] * 9, "9 labels are 'nan', the others are numbers"),
    ],
)
def test_what_cannot_be_meant_is_refused(labels, message):
    with pytest.raises(UserError, match=message):
        check_classes(PATH, labels)
