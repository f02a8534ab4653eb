"""Rows with columns as what a model is asked, wherever they come from."""

import json
import types

import numpy as np
import pytest
import tensorflow as tf

from tfbert.errors import UserError
from trainers.finetuning import in_memory
from trainers.reports.served.asking import Asked

QUESTIONS = [
    {"question": "who?", "context": "Ada.", "id": 7},
    {"question": "é", "context": ""},
]
NAMES = ("question", "context")
WANTED = [("who?", "Ada."), ("é", "")]


def model(*columns, inputs=("question", "context")):
    names = {name: np.dtype(object) for name in inputs}
    session = types.SimpleNamespace(
        inputs={"serving_default": names},
        outputs={"serving_default": ["answer"]},
    )
    card = {"inputs": list(inputs), "text_columns": list(columns or inputs)}
    return Asked(session, card, "serving_default", "here")


class Frame:
    """As much of a pandas frame as is looked at."""

    columns = NAMES

    def to_dict(self, orient):
        return QUESTIONS


@pytest.mark.parametrize(
    "data",
    [
        QUESTIONS,
        {"question": ["who?", "é"], "context": ["Ada.", ""]},
        {
            "question": np.array(["who?", "é"]),
            "context": np.array(["Ada.", ""]),
        },
        Frame(),
        tf.data.Dataset.from_tensor_slices((["who?", "é"], ["Ada.", ""])),
    ],
    ids=["rows", "columns", "arrays", "frame", "dataset"],
)
def test_questions_in_memory(data):
    assert in_memory.is_table(data)
    assert in_memory.inputs_of(data, model()) == WANTED


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_questions_in_a_file(tmp_path, name):
    rows = [*QUESTIONS[:1], {"question": "x", "context": "y"}]
    text = (
        json.dumps(rows)
        if name == "a.json"
        else "\n".join(map(json.dumps, rows))
    )
    (tmp_path / name).write_text(text)
    found = in_memory.inputs_of(tmp_path / name, model())
    assert found == [("who?", "Ada."), ("x", "y")]


def test_texts_are_no_table():
    for data in ("a", ["a"], [("a", "b")], [], (), np.array(["a"]), None, 7):
        assert not in_memory.is_table(data)


def test_choices_in_a_list_or_in_columns():
    rows = [{"q": "x", "ends": ["a", "b"]}]
    asked = model("q", "ends", inputs=("question", "choices"))
    assert in_memory.inputs_of(rows, asked) == [("x", ["a", "b"])]
    rows = [{"q": "x", "a": "1", "b": "2", "c": "3"}]
    asked = model(*"qabc", inputs=("question", "choices"))
    assert in_memory.inputs_of(rows, asked) == [("x", ["1", "2", "3"])]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([{"question": "x", "contxt": "y"}], "no column 'context'.*: contxt"),
        ([{"question": "x", "context": None}], r"text in data\[0\]\['context'"),
        ([{"question": 7, "context": "y"}], "got int 7"),
        ([*QUESTIONS, "text"], "wanted a dict for each"),
        ({"question": []}, "it is empty"),
    ],
)
def test_mistakes_are_told(data, message):
    with pytest.raises(UserError, match=message):
        in_memory.inputs_of(data, model())
