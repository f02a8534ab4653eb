import pytest

from tfbert.errors import UserError
from tfrecords.labelled import multi_label


def read(tmp_path, text, name="d.tsv", separator=","):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return multi_label.read_examples(path, ["text"], "label", separator)


def test_lists_with_a_separator_and_in_json(tmp_path):
    table = 'text\tlabel\na\tx, y\nb\t\nc\t["y, z"]\nd\t[]\ne\tx,\n'
    found = read(tmp_path, table)
    assert found.labels == [["x", "y"], [], ["y, z"], [], ["x"]]
    lines = '{"text": "a", "label": ["x"]}\n{"text": "b", "label": "x y"}\n'
    found = read(tmp_path, lines, "d.jsonl", separator=" ")
    assert found.labels == [["x"], ["x", "y"]]
    assert multi_label.label_list(found) == ["x", "y"]
    assert multi_label.label_matrix(found, ["y", "x"]).tolist() == [
        [0, 1],
        [1, 1],
    ]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("[x]", r"d\.tsv:2: the labels '\[x\]' begin like a JSON list"),
        ("[" * 100_000, r"d\.tsv:2: the labels .* nested too deeply"),
        ("[" + "1" * 5000 + "]", r"d\.tsv:2: the labels .* Exceeds"),
        ("[1]", r"d\.tsv:2: labels should be strings, not 1"),
        ('[" "]', r'd\.tsv:2: labels should be strings, not " "'),
    ],
)
def test_broken_lists_are_named(tmp_path, cell, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, f"text\tlabel\na\t{cell}\n")


def test_labels_have_to_be_known_and_there(tmp_path):
    found = read(tmp_path, "text\tlabel\na\tx\nb\tx,y\n")
    with pytest.raises(UserError, match=r"d\.tsv:3: unknown label 'y'"):
        multi_label.label_matrix(found, ["x"])
    with pytest.raises(UserError, match="no example has a label"):
        multi_label.label_list(read(tmp_path, "text\tlabel\na\t\n"))
    with pytest.raises(UserError, match="wanted data.label_separator"):
        read(tmp_path, "text\tlabel\na\tx\n", separator="")
