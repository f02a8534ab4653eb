import numpy as np
import pytest

from tfbert.errors import UserError
from tfrecords.finetuning import classification as data


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


def rows(batches):
    """The examples' numbers in each batch; 0 for padding rows."""
    return [
        (b["input_ids"][:, 0] * b["is_real_example"]).tolist() for b in batches
    ]


def write(tmp_path, text, name="d.tsv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_sentences_and_pairs(tmp_path):
    path = write(tmp_path, "a\tb\tlabel\nx\ty\t 1 \nz\tw\t0\n")
    single = data.read_examples(path, ["b"], "label")
    assert single.inputs() == [("y",), ("w",)]
    assert single.labels == ["1", "0"]
    pairs = data.read_examples(path, ["b", "a"], "label")
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
        data.read_examples("d.tsv", columns, label)


def test_labels_are_sorted_by_value_when_they_are_numbers(tmp_path):
    table = "text\tlabel\n" + "".join(f"t\t{n}\n" for n in (10, 9, -1, 9))
    numbers = data.read_examples(write(tmp_path, table), ["text"], "label")
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
    with pytest.raises(UserError, match=r"150 labels: 0, 1, .*, 19, \.\.\."):
        data.label_ids(examples(4), [str(n) for n in range(150)])


def test_overlap_counts_duplicates_and_conflicts():
    def made(texts, labels):
        lines = list(range(len(texts)))
        return data.Examples("d.tsv", lines, texts, None, labels)

    train = made(["a", "b", " a", "a"], ["x", "x", "x", "y"])
    validation = made(["b ", "c", "a"], ["x", "x", "x"])
    assert data.overlap(train, validation) == data.Overlap(2, 2, 1)
    assert data.overlap(train, None) == data.Overlap(0, 2, 1)


def test_pairs_are_duplicates_only_as_pairs():
    train = data.Examples("d.tsv", [1, 2], ["a", "a"], ["b", "c"], ["x", "y"])
    assert data.overlap(train, None) == data.Overlap(0, 0, 0)


def test_encode_is_as_long_as_needed(monkeypatch):
    monkeypatch.setattr(data, "_ENCODE_AT_ONCE", 3)
    arrays = encoded(10, pairs=True)
    assert arrays.sequence_length == 8
    assert len(arrays) == 10
    assert arrays.full_rows == 0
    assert arrays.input_ids[6].tolist() == [7, 7, 7, 0, 0, 0, 0, 0]
    assert arrays.segment_ids[6].tolist() == [0, 1, 1, 0, 0, 0, 0, 0]
    assert arrays.label_ids.tolist() == [0, 1] * 5


def test_encode_counts_full_rows():
    long = examples(3)
    long.text_a[1] = " ".join(["1"] * 30)
    arrays = data.encode(long, encode_words, ["even", "odd"], 16)
    assert arrays.sequence_length == 16
    assert arrays.full_rows == 1


def test_with_length_cuts_and_adds_padding_only():
    arrays = encoded(3, pairs=True)
    longer = arrays.with_length(20)
    assert longer.input_ids.shape == (3, 20)
    assert not longer.input_mask[:, 8:].any()
    assert longer.with_length(3).segment_ids.shape == (3, 3)
    with pytest.raises(ValueError, match="would cut tokens off"):
        arrays.with_length(2)


def take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def test_batches_have_the_2018_keys_and_static_shapes():
    dataset = data.training_batches(encoded(5), seed=0, global_batch_size=4)
    assert set(dataset.element_spec) == set(data.KEYS)
    assert dataset.element_spec["input_ids"].shape == [4, 8]
    [batch] = take(dataset, 1)
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int32)}


def test_every_example_once_an_epoch_whatever_the_batch():
    seen = np.concatenate(
        rows(
            take(
                data.training_batches(encoded(10), seed=3, global_batch_size=4),
                5,
            )
        )
    )
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(1, 11))
    assert seen[:10].tolist() != seen[10:].tolist()


def test_labels_stay_with_their_texts():
    for batch in take(
        data.training_batches(encoded(10), seed=3, global_batch_size=4), 5
    ):
        want = (batch["input_ids"][:, 0] + 1) % 2
        assert batch["label_ids"].tolist() == want.tolist()


@pytest.mark.parametrize("replicas", [2, 3, 4])
def test_replicas_share_the_same_global_batches(replicas):
    whole = rows(
        take(data.training_batches(encoded(7), seed=1, global_batch_size=12), 4)
    )
    parts = [
        rows(
            take(
                data.training_batches(
                    encoded(7),
                    seed=1,
                    global_batch_size=12,
                    num_replicas=replicas,
                    first_replica=replica,
                ),
                4,
            )
        )
        for replica in range(replicas)
    ]
    together = [sum(step, []) for step in zip(*parts, strict=True)]
    assert together == whole


def test_a_worker_yields_its_replicas_in_order_and_starts_anywhere():
    def batches(**kwargs):
        return data.training_batches(
            encoded(7), seed=1, global_batch_size=8, **kwargs
        )

    whole = rows(take(batches(), 5))
    worker = rows(
        take(
            batches(
                num_replicas=4, first_replica=2, local_replicas=2, start_step=3
            ),
            4,
        )
    )
    assert worker == [whole[3][4:6], whole[3][6:], whole[4][4:6], whole[4][6:]]


@pytest.mark.parametrize("count", [1, 8, 9, 17])
@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_evaluation_takes_every_example_once(count, replicas):
    found = []
    for replica in range(replicas):
        dataset, steps = data.evaluation_batches(
            encoded(count, pairs=True) if count > 1 else one_example(),
            global_batch_size=8,
            num_replicas=replicas,
            first_replica=replica,
        )
        batches = list(dataset.as_numpy_iterator())
        assert len(batches) == steps == -(-count // 8)
        # Padding rows have tokens to attend to.
        assert all(b["input_mask"].any(axis=1).all() for b in batches)
        found.append(rows(batches))
    in_order = sum(sum(map(list, zip(*found, strict=True)), []), [])
    assert in_order[:count] == list(range(1, count + 1))
    assert set(in_order[count:]) <= {0}


def one_example():
    return data.encode(examples(1), encode_words, ["even", "odd"], 16)


def test_a_batch_that_replicas_cannot_share_is_refused():
    for make in (data.evaluation_batches, data.training_batches):
        kwargs = {"seed": 0} if make is data.training_batches else {}
        with pytest.raises(UserError, match="shared equally by 3 replicas"):
            make(encoded(4), global_batch_size=8, num_replicas=3, **kwargs)
