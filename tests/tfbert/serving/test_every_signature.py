"""Each signature of each kind: what every server relies on."""

import re
from pathlib import Path

import numpy as np
import pytest
import rest_rules
import tensorflow as tf
from every_kind import (
    MAX_LENGTH,
    TEXTS,
    batch_of,
    call,
    on_strings,
    same,
    servables,
)

from tfbert.serving.package import operations, signatures

ODD = [
    b"a\xffb film",
    b"",
    b"\xff\xfe\x80",
    b" \t\n",
    b"x" * 2000,
    "\U0010ffffé".encode(),
]
MEGABYTES = 10_000_000
# All kinds of export at once take a minute and a gigabyte.
pytestmark = pytest.mark.long
DOCS = Path(__file__).parents[3] / "docs" / "serving.md"


def test_rows_and_columns_of_json_are_answered_alike(kinds, inputs):
    for kind, of_kind in inputs.items():
        for name, specs in of_kind.items():
            if name in ("examples", "tokens"):
                batch = signatures.request(of_kind, name, 9)
            else:
                batch = batch_of(specs, [*TEXTS, b"", b"\xff film"])
            columns = {k: rest_rules.write(v) for k, v in batch.items()}
            rows = [
                dict(zip(columns, row, strict=True))
                for row in zip(*columns.values(), strict=True)
            ]
            bodies = [{"instances": rows}, {"inputs": columns}]
            if len(columns) == 1:
                [only] = columns.values()
                bodies += [{"instances": only}, {"inputs": only}]
            for body in bodies:
                given = rest_rules.from_json(body, specs)
                same(given, batch, 0)
            answer = call(kinds, kind, name, given)
            by_row = rest_rules.to_json(answer, rows=True)["predictions"]
            by_column = rest_rules.to_json(answer, rows=False)["outputs"]
            if len(answer) == 1:
                assert by_row == by_column
            for key in answer if len(answer) > 1 else ():
                assert [row[key] for row in by_row] == by_column[key]


def test_the_rules_of_json_refuse_what_serving_refuses():
    one = {"text": tf.TensorSpec([None], tf.string)}
    two = one | {"place": tf.TensorSpec([None], tf.int32)}
    for body, specs in [
        ({}, one),
        ({"instances": ["a"], "inputs": ["a"]}, one),
        ({"instances": []}, one),
        ({"instances": ["a"]}, two),
        ({"instances": [{"text": "a"}]}, two),
        ({"instances": [{"text": "a", "place": 1.5}]}, two),
        ({"instances": [{"text": "a", "place": True}]}, two),
        ({"instances": [{"text": "a"}, "b"]}, one),
        ({"instances": [["a"], ["a", "b"]]}, one),
        ({"inputs": {"text": ["a"]}}, two),
        ({"inputs": ["a"]}, two),
        ({"inputs": [1]}, one),
    ]:
        with pytest.raises(ValueError):
            rest_rules.from_json(body, specs)
    with pytest.raises(ValueError, match="first dimensions"):
        rest_rules.to_json({"a": np.zeros(2), "b": np.zeros(3)}, True)
    with pytest.raises(ValueError, match="no batch dimension"):
        rest_rules.to_json({"a": np.array(1)}, True)
    packed = {"text_bytes": np.array([b"\xff"], object)}
    assert rest_rules.to_json(packed, False) == {"outputs": [{"b64": "/w=="}]}


def test_odd_and_no_input_is_answered_in_utf_8(kinds, inputs):
    for kind, name, specs in on_strings(inputs):
        for texts in (ODD, []):
            answer = call(kinds, kind, name, batch_of(specs, texts))
            for key, value in answer.items():
                assert len(value) == len(texts), (kind, name, key)
                if value.dtype == np.float32:
                    assert np.isfinite(value).all(), (kind, name, key)
            rest_rules.to_json(answer, rows=True)


@pytest.mark.parametrize("character", [b"x", b" ", b"\xc3\xa9"])
def test_ten_megabytes_are_answered(kinds, inputs, character):
    text = character * (MEGABYTES // len(character))
    for kind, name, specs in on_strings(inputs):
        if name in ("embed", "given", "words_given") and kind != "pretraining":
            # The same graphs as of others.
            continue
        batch = batch_of(specs, [text])
        for value in call(kinds, kind, name, batch).values():
            assert len(value) == 1, (kind, name)


def test_answers_do_not_depend_on_batch_mates(kinds, inputs):
    texts = [*TEXTS, b"film " * 40]
    for kind, name, specs in on_strings(inputs):
        batch = batch_of(specs, texts)
        together = call(kinds, kind, name, batch)
        for row in range(len(texts)):
            alone = {key: value[row : row + 1] for key, value in batch.items()}
            answer = call(kinds, kind, name, alone)
            # Less filling where no mate is longer.
            wanted = {
                key: together[key][row : row + 1][
                    tuple(slice(size) for size in value.shape)
                ]
                for key, value in answer.items()
            }
            same(answer, wanted)


def test_a_choice_comes_back_in_utf_8(kinds):
    batch = {
        "question": np.array([b"is it"], object),
        "choices": np.array([[b"\xff", b"good \xff"]], object),
    }
    answer = call(kinds, "multiple_choice", "serving_default", batch)
    assert "\ufffd" in answer["answer"][0].decode()


def test_every_operation_is_in_every_server(exports):
    lowest = {k: operations.lowest_server(f) for k, f in exports.items()}
    assert set(lowest.values()) == {"2.14"}, lowest


def test_the_docs_name_every_input_and_output(exports, inputs):
    """The tables of docs/serving.md, `name` dtype [shape], in any order."""
    found = {}
    section = None
    for line in DOCS.read_text("utf-8").splitlines():
        if heading := re.fullmatch(r"### .*`(\w+)`.*", line):
            section = heading[1]
        elif section and line.startswith("| `"):
            names, *cells = line.strip("| ").split(" | ")
            sides = tuple(set(re.findall(r"`(\w+)`", c)) for c in cells)
            for name in re.findall(r"`(\w+)`", names):
                found.setdefault(section, {})[name] = sides
    for kind, folder in exports.items():
        definitions = signatures.read_model(folder).meta_graphs[0].signature_def
        described = found["classification" if kind == "pairs" else kind]
        for name, specs in inputs[kind].items():
            if name in ("examples", "embed") and kind != "pretraining":
                # One table tells of all kinds.
                continue
            names, answers = described[name]
            # A kind may take a text or a pair of texts.
            assert names >= set(specs), (kind, name)
            assert answers == set(definitions[name].outputs), (kind, name)


def test_no_text_is_longer_than_a_row(kinds):
    answer = call(
        kinds,
        "pretraining",
        "fill_mask",
        {"text": np.array([b"[MASK] " * 100], object)},
    )
    assert answer["masks"].tolist() == [MAX_LENGTH - 2]


def test_weights_stored_as_float16_serve_every_signature(kinds, inputs):
    smaller = servables()
    for kind in ("pretraining", "question_answering"):
        smaller[kind].store_as("float16")
        floats = [
            v for v in smaller[kind].layer_variables if v.dtype.is_floating
        ]
        assert floats and {v.dtype for v in floats} == {tf.float16}
        for name in inputs[kind]:
            batch = signatures.request(inputs[kind], name, 9)
            want = call(kinds, kind, name, batch)
            for key, value in call(smaller, kind, name, batch).items():
                if value.dtype == np.float32:
                    np.testing.assert_allclose(value, want[key], atol=0.02)
