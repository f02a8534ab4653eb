import numpy as np
import pytest

from tfbert.errors import UserError
from tfrecords.labelled import classification as data
from tfrecords.labelled import encoded as arrays_of
from tfrecords.labelled import sentences
from tfrecords.labelled.overlap import Overlap, overlap


def encode_words(text_a, text_b=None, *, max_length):
    """A tokenizer for tests: the id of a word is its number."""
    ids = np.zeros([len(text_a), max_length], np.int64)
    segments = np.zeros_like(ids)
    for row, text in enumerate(text_a):
        first = [int(word) for word in text.split()]
        second = [] if text_b is None else text_b[row].split()
        whole = [*first, *map(int, second)][:max_length]
        ids[row, : len(whole)] = whole
        segments[row, len(first) : len(whole)] = 1
    return {
        "input_ids": ids,
        "input_mask": np.int32(ids > 0),
        "segment_ids": segments,
    }


def examples(count, pairs=False):
    names = [str(row + 1) for row in range(count)]
    return data.Examples(
        path="d.tsv",
        lines=list(range(2, count + 2)),
        text_a=names,
        text_b=[f"{n} {n}" for n in names] if pairs else None,
        labels=["odd" if row % 2 else "even" for row in range(count)],
    )


def encoded(count, **kwargs):
    return data.encode(
        examples(count, **kwargs), encode_words, ["even", "odd"], 16
    )


def write(tmp_path, text, name="d.tsv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_sentences_and_pairs(tmp_path):
    path = write(tmp_path, "a\tb\tlabel\nx\ty\t 1 \nz\tw\t0\n")
    single = sentences.read_examples(path, ["b"], "label")
    assert single.inputs() == [("y",), ("w",)]
    assert single.labels == ["1", "0"]
    pairs = sentences.read_examples(path, ["b", "a"], "label")
    assert pairs.inputs() == [("y", "x"), ("w", "z")]
    assert pairs.lines == [2, 3]


@pytest.mark.parametrize(
    ("columns", "label", "message"),
    [
        ([], "c", "one text column.* not 0"),
        (["a", "b", "d"], "c", "not 3"),
        (["a", "a"], "c", "different columns"),
        (["a"], "a", "different columns"),
    ],
)
def test_refuses_columns_that_make_no_task(columns, label, message):
    with pytest.raises(UserError, match=message):
        sentences.read_examples("d.tsv", columns, label)


def test_labels_are_sorted_by_value_when_they_are_numbers(tmp_path):
    table = "text\tlabel\n" + "".join(f"t\t{n}\n" for n in (10, 9, -1, 9))
    numbers = sentences.read_examples(write(tmp_path, table), ["text"], "label")
    assert data.label_list(numbers) == ["-1", "9", "10"]
    assert data.label_list(examples(3)) == ["even", "odd"]


def test_one_class_is_no_task():
    with pytest.raises(UserError, match="every label is 'even'"):
        data.label_list(examples(1))


def test_an_unknown_label_is_named_with_its_line():
    with pytest.raises(UserError, match=r"d\.tsv:3: unknown label 'odd'") as e:
        data.label_ids(examples(4), ["even", "strange"])
    assert "even, strange" in str(e.value)


def test_many_known_labels_are_not_all_listed():
    with pytest.raises(UserError, match=r"150 labels, .*, \.\.\.\. Mend"):
        data.label_ids(examples(4), [str(n) for n in range(150)])


def test_overlap_counts_duplicates_and_conflicts():
    train = [("a",), ("b",), (" a",), ("a",)]
    golds = ["x", "x", "x", "y"]
    validation = [("b ",), ("c",), ("a",)]
    assert overlap(train, golds, validation) == Overlap(2, 2, 1)
    assert overlap(train, golds) == Overlap(0, 2, 1)


def test_pairs_are_duplicates_only_as_pairs():
    train = [("a", "b"), ("a", "c")]
    assert overlap(train, ["x", "y"]) == Overlap(0, 0, 0)


def test_encode_is_as_long_as_needed(monkeypatch):
    monkeypatch.setattr(arrays_of, "_ENCODE_AT_ONCE", 3)
    arrays = encoded(10, pairs=True)
    assert arrays.sequence_length == 8
    assert len(arrays) == 10
    assert arrays.full_rows == 0
    assert arrays.columns["input_ids"][6].tolist() == [7, 7, 7, 0, 0, 0, 0, 0]
    assert arrays.columns["segment_ids"][6].tolist() == [0, 1, 1, 0, 0, 0, 0, 0]
    assert arrays.columns["label_ids"].tolist() == [0, 1] * 5


def test_encode_counts_full_rows():
    long = examples(3)
    long.text_a[1] = " ".join(["1"] * 30)
    arrays = data.encode(long, encode_words, ["even", "odd"], 16)
    assert arrays.sequence_length == 16
    assert arrays.full_rows == 1


def test_with_length_cuts_and_adds_padding_only():
    arrays = encoded(3, pairs=True)
    longer = arrays.with_length(20)
    assert longer.columns["input_ids"].shape == (3, 20)
    assert not longer.columns["input_mask"][:, 8:].any()
    assert longer.with_length(3).columns["segment_ids"].shape == (3, 3)
    with pytest.raises(ValueError, match="would cut tokens off"):
        arrays.with_length(2)
