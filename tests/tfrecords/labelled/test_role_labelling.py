import json

import pytest

from tfbert.errors import UserError
from tfrecords.labelled.role_labelling import read_roles

FILE = """\
# doc\tword\tlemma\tspans
d\tBirds\t-\t(ARG0*)\t(ARG1*
d\tthat\t-\t*\t*
d\tsing\tsing\t(V*)\t*)
d\tcan\t-\t*\t*
d\tfly\tfly\t*\t(V*
d\toff\t-\t*\t*)

d\tYes\t-
"""
COLUMNS = {
    "token_column": 1,
    "predicate_column": 2,
    "first_role_column": 3,
}


def test_columns(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text(FILE)
    found = read_roles(path, **COLUMNS)
    assert found.words == [
        ["Birds", "that", "sing", "can", "fly", "off"],
        ["Yes"],
    ]
    assert found.sentence_lines == [2, 9]
    assert found.sentences == [0, 0] and found.predicates == [2, 4]
    assert found.lines == [4, 6]
    assert found.tags == [
        ["B-ARG0", "O", "B-V", "O", "O", "O"],
        ["B-ARG1", "I-ARG1", "I-ARG1", "O", "B-V", "I-V"],
    ]
    assert found.predicate_tags() == [["O", "O", "B-V", "O", "B-V", "O"], ["O"]]
    assert found.inputs()[1][:2] == ("4", "Birds")
    # The same as JSON Lines.
    rows = [
        {
            "tokens": found.words[0],
            "predicates": [
                {"index": i, "tags": tags}
                for i, tags in zip(found.predicates, found.tags, strict=True)
            ],
        },
        {"tokens": found.words[1], "predicates": []},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    again = read_roles(path)
    assert (again.words, again.tags) == (found.words, found.tags)
    assert again.predicates == found.predicates and again.lines == [1, 1]
    path.with_suffix(".json").write_text(json.dumps(rows))
    assert read_roles(path.with_suffix(".json")).tags == found.tags


def predicate(index, tags):
    row = {"tokens": ["a", "b"], "predicates": [{"index": index, "tags": tags}]}
    return json.dumps(row)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("d\ta\tx\t(V*)\nd\tb\t-\n", "a.tsv:2: 3 columns, but the sentence"),
        ("d\ta\n", "a.tsv:1: 2 columns, but at least 3"),
        ("d\t\t-\n", "a.tsv:1: the word is empty"),
        ("d\ta\tx\n", "a.tsv:1: the sentence has 1 predicates"),
        ("d\ta\tx\t(V*)\nd\tb\t-\tV*\n", "a.tsv:2: 'V.' is no part"),
        ("d\ta\tx\t(V*\nd\tb\t-\t(A*\n", r"a.tsv:2: '\(A.' is no part"),
        ("d\ta\tx\t*)\n", r"a.tsv:1: '.\)' is no part"),
        ("d\ta\tx\t(V*\nd\tb\t-\t*\n", "a.tsv:2: the span V is not closed"),
        ("d\ta\t-\n", "has no predicate"),
        ('{"tokens": ["a"]}', "'predicates' should be a list"),
        ('{"tokens": ["a"], "predicates": [3]}', "should be an object"),
        (predicate(2, ["O", "B-V"]), "index 2 is out of range.*0 to 1"),
        (predicate(True, ["O", "B-V"]), "out of range"),
        (predicate(1, ["B-V"]), "1 tags for 2 words"),
        (predicate(1, ["O", "I-V"]), r"tags\[1\] is illegal"),
    ],
)
def test_mistakes(tmp_path, text, message):
    path = tmp_path / ("a.jsonl" if text.startswith("{") else "a.tsv")
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_roles(path, **COLUMNS)


def test_spaces_between_columns_and_words_of_several(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(
        "1 Er - (ARG0*)\n2 singt singen (V*)\n3-4 im _ _\n"
        "3 in - (LOC*\n4 dem - *)\n"
    )
    found = read_roles(path, **COLUMNS)
    assert found.words == [["Er", "singt", "in", "dem"]]
    assert found.tags == [["B-ARG0", "B-V", "B-LOC", "I-LOC"]]
    path.write_text("1 a - *\n2 b b (V*)\n3-4 c _ _\n3 d - x\n")
    with pytest.raises(UserError, match="a.txt:4: 'x' is no part"):
        read_roles(path, **COLUMNS)
