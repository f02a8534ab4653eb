import gzip

import numpy as np
import pytest
import tensorflow as tf

from tfbert.errors import UserError
from tfbert.text.vocabulary_case import tokens_and_case
from tfrecords.batches import dataset
from tfrecords.masking.masking import Masking
from tfrecords.storage.legacy_2018 import StaticRecords, open_records
from tfrecords.storage.reader import Records

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [
    f"w{i}" for i in range(95)
]
SEQUENCE, PREDICTIONS = 12, 3
MASKING = Masking()


def rows_of(count, labels=True):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        ids = rng.integers(5, 100, SEQUENCE)
        ids[0], ids[6], ids[-1] = 2, 3, 3
        ids[1] = 5 + number
        row = {
            "input_ids": ids,
            "input_mask": np.ones(SEQUENCE, int),
            "segment_ids": (np.arange(SEQUENCE) > 6).astype(int),
            "masked_lm_positions": np.array([2, 5, 0]),
            "masked_lm_ids": np.array([7, 8, 0]),
            "masked_lm_weights": np.array([1.0, 1.0, 0.0], np.float32),
        }
        if labels:
            row["next_sentence_labels"] = np.array([number % 2])
        rows.append(row)
    return rows


def example(row, names=None):
    features = {}
    for key, value in row.items():
        if value.dtype.kind == "f":
            feature = tf.train.Feature(
                float_list=tf.train.FloatList(value=value)
            )
        else:
            feature = tf.train.Feature(
                int64_list=tf.train.Int64List(value=value)
            )
        features[(names or {}).get(key, key)] = feature
    features = tf.train.Features(feature=features)
    return tf.train.Example(features=features).SerializeToString()


def write(folder, rows, files=2, names=None):
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    size = -(-len(rows) // files)
    for number in range(files):
        path = str(folder / f"part-{number}-of-{files}.tfrecord")
        with tf.io.TFRecordWriter(path) as writer:
            for row in rows[number * size : (number + 1) * size]:
                data = row if isinstance(row, bytes) else example(row, names)
                writer.write(data)
    return folder


@pytest.mark.parametrize(
    "names",
    [None, {"input_ids": "input_word_ids", "segment_ids": "input_type_ids"}],
)
def test_rows_are_read_as_they_are(tmp_path, names):
    rows = rows_of(11)
    records = open_records(write(tmp_path / "r", rows, names=names))
    assert isinstance(records, StaticRecords)
    assert (records.num_rows, records.sequence_length) == (11, SEQUENCE)
    assert records.max_predictions == PREDICTIONS
    assert records.manifest.objective == "next_sentence"
    batch = records.batch(np.array([10, 0, 5, 6]))
    for place, row in enumerate([10, 0, 5, 6]):
        for key, value in rows[row].items():
            got = batch[key][place]
            np.testing.assert_array_equal(np.atleast_1d(got), value)
    assert batch["next_sentence_labels"].shape == (4,)


def test_batches_train_like_others(tmp_path):
    rows = rows_of(10)
    records = open_records(write(tmp_path / "r", rows))
    made = dataset.pretraining_batches(
        records, MASKING, seed=0, global_batch_size=4, num_replicas=2
    )
    (batch,) = made.take(1).as_numpy_iterator()
    assert {k: v.shape for k, v in batch.items()} == {
        "input_ids": (2, SEQUENCE),
        "input_mask": (2, SEQUENCE),
        "segment_ids": (2, SEQUENCE),
        "masked_lm_positions": (2, PREDICTIONS),
        "masked_lm_ids": (2, PREDICTIONS),
        "masked_lm_weights": (2, PREDICTIONS),
        "next_sentence_labels": (2,),
    }
    made, steps = dataset.evaluation_batches(
        records, MASKING, seed=0, global_batch_size=4
    )
    parts = list(made.as_numpy_iterator())
    real = np.concatenate([part["is_real_example"] for part in parts])
    assert steps == 3 and real.tolist() == [1] * 10 + [0] * 2
    firsts = np.concatenate([part["input_ids"][:, 1] for part in parts])
    assert firsts[:10].tolist() == list(range(5, 15))


def test_labels_may_be_missing(tmp_path):
    records = open_records(write(tmp_path / "r", rows_of(3, labels=False)))
    assert not records.has_labels
    assert records.manifest.objective == "masked_lm"


def test_records_with_a_manifest_are_opened_as_such(make_records, random_rows):
    records = make_records("r", random_rows(5, 9))
    assert isinstance(open_records(records.path), Records)


def test_a_folder_without_vocabulary_or_records_is_refused(tmp_path):
    with pytest.raises(UserError, match="nowhere is not there.*makes one"):
        open_records(tmp_path / "nowhere")
    (tmp_path / "text.txt").write_text("a")
    with pytest.raises(UserError, match="got the file .*text.txt"):
        open_records(tmp_path / "text.txt")
    with pytest.raises(UserError, match="has no manifest.json"):
        open_records(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    with pytest.raises(UserError, match="nor TFRecord files"):
        open_records(tmp_path)


def test_a_file_that_is_cut_off_is_named(tmp_path):
    folder = write(tmp_path / "r", rows_of(4))
    path = folder / "part-1-of-2.tfrecord"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UserError, match="part-1.*record 1, byte .*ends inside"):
        open_records(folder)


def test_another_format_is_named(tmp_path):
    row = {"text": np.array([1])}
    with pytest.raises(UserError, match="record 0.*no 'input_ids'"):
        open_records(write(tmp_path / "r", [row], files=1))
    with pytest.raises(UserError, match="no tf.train.Example"):
        open_records(write(tmp_path / "s", [b"\xff\xff\xff"], files=1))


def test_a_record_of_another_shape_is_named(tmp_path):
    rows = rows_of(4)
    rows[3]["input_ids"] = rows[3]["input_ids"][:5]
    records = open_records(write(tmp_path / "r", rows))
    records.batch(np.array([0, 1, 2]))
    with pytest.raises(UserError, match="part-1.*record 1, byte"):
        records.batch(np.array([0, 3]))


@pytest.mark.parametrize(
    "key, value",
    [
        ("input_ids", 100),
        ("masked_lm_ids", 200),
        ("masked_lm_positions", SEQUENCE),
        ("input_ids", -1),
        ("segment_ids", 7),
        ("input_mask", -4),
        ("next_sentence_labels", 9),
        ("masked_lm_weights", np.nan),
        ("masked_lm_weights", -1),
    ],
)
@pytest.mark.parametrize("row", [2, 3])
def test_values_beyond_their_range_are_named(tmp_path, key, value, row):
    rows = rows_of(4)
    rows[row][key][-1] = value
    folder = write(tmp_path / "r", rows)
    wanted = f"part-1.*record {row - 2}.*{key} holds {value}"
    with pytest.raises(UserError, match=wanted):
        # The first row of a file is looked at when it is opened.
        open_records(folder).batch(np.arange(4))
    assert skipping(folder).bad_rows.tolist() == [row]


@pytest.mark.parametrize("place", [12, 100, -1])
def test_a_flipped_bit_is_not_trained_on(tmp_path, place):
    rows = rows_of(6)
    folder = write(tmp_path / "r", rows, files=1)
    (path,) = folder.glob("part*")
    start, length = StaticRecords(folder)._offsets[3]
    place = int(start + length) + 3 if place < 0 else int(start) + place
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)
    records = open_records(folder)
    records.batch(np.arange(3))
    with pytest.raises(UserError, match="part-0.*record 3.*checksum.*on_corr"):
        records.batch(np.array([1, 3]))


def test_a_damaged_length_is_named(tmp_path):
    folder = write(tmp_path / "r", rows_of(6), files=1)
    (path,) = folder.glob("part*")
    start = int(StaticRecords(folder)._offsets[3][0])
    damage(path, start - 12)
    with pytest.raises(UserError, match="part-0.*record 3.*length is damaged"):
        open_records(folder)


def test_several_lengths_are_named_when_they_are_opened(tmp_path):
    rows = rows_of(4)
    for row in rows[2:]:
        for key in ("input_ids", "input_mask", "segment_ids"):
            row[key] = np.repeat(row[key], 2)
    folder = write(tmp_path / "r", rows)
    message = (
        "part-1.*record 0.*input_ids has 24 values, the first record .* 12"
    )
    with pytest.raises(UserError, match=message):
        open_records(folder)


def test_the_identity_is_the_content(tmp_path):
    rows = rows_of(6)
    first = open_records(write(tmp_path / "a", rows, files=2)).fingerprint
    moved = write(tmp_path / "b", rows, files=3)
    (moved / "part-0-of-3.tfrecord").rename(moved / "a")
    assert open_records(moved).fingerprint == first
    # Another id of as many bytes.
    rows[4]["input_ids"][3] ^= 1
    other = open_records(write(tmp_path / "c", rows, files=2))
    assert other.fingerprint != first
    swapped = [*rows[1:2], *rows[:1], *rows[2:]]
    again = open_records(write(tmp_path / "d", swapped, files=2))
    assert again.fingerprint != other.fingerprint


def test_a_batch_of_bad_rows_alone(tmp_path):
    folder = write(tmp_path / "r", rows_of(5), files=1)
    (path,) = folder.glob("part*")
    index = StaticRecords(folder)._offsets
    damage(path, int(index[1][0]) + 9, int(index[3][0]) + 9)
    records = skipping(folder)
    batch = records.batch(np.array([3, 1]))
    sound = records.batch(np.array([0, 2]))
    assert {k: (v.shape, v.dtype) for k, v in batch.items()} == {
        k: (v.shape, v.dtype) for k, v in sound.items()
    }
    assert batch["input_ids"].tolist() == [[2, 3] + [0] * 10] * 2
    assert not batch["masked_lm_weights"].any()
    made = dataset.pretraining_batches(
        records, MASKING, seed=0, global_batch_size=1
    )
    real = [int(b["is_real_example"][0]) for b in made.take(5)]
    assert sorted(real) == [0, 0, 1, 1, 1]


def test_compressed_records_are_refused_by_name(tmp_path):
    folder = write(tmp_path / "r", rows_of(4))
    packed = gzip.compress((folder / "part-0-of-2.tfrecord").read_bytes())
    (folder / "text.txt.gz").write_bytes(gzip.compress(b"some text"))
    assert open_records(folder).num_rows == 4
    for name in ("part-2.tfrecord", "part-2.tfrecord.gz"):
        (folder / name).write_bytes(packed)
        with pytest.raises(UserError, match=f"{name} holds TFRec.*gunzip -c"):
            open_records(folder)
        (folder / name).unlink()


def test_the_vocabulary_has_to_be_text(tmp_path):
    folder = write(tmp_path / "r", rows_of(4))
    (folder / "vocab.txt").write_bytes(b"[PAD]\n\xe9\n")
    with pytest.raises(UserError, match=r"vocab\.txt:2: not UTF-8.*do not rem"):
        open_records(folder)
    (folder / "vocab.txt").unlink()
    (folder / "vocab.txt").mkdir()
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        open_records(folder)


def skipping(folder):
    return StaticRecords(folder, on_corrupt="skip")


def damage(path, *places):
    data = bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 0xFF
    path.write_bytes(data)


def assert_sound(records, rows, bad):
    """All `rows` are as written, except that those numbered `bad` are empty."""
    assert records.num_rows == len(rows)
    assert records.bad_rows.tolist() == bad
    batch = records.batch(np.arange(len(rows)))
    for number, row in enumerate(rows):
        if number in bad:
            assert batch["input_ids"][number].tolist() == [2, 3] + [0] * 10
            assert batch["input_mask"][number].sum() == 2
            assert not batch["masked_lm_weights"][number].any()
            continue
        for key, value in row.items():
            got = np.atleast_1d(batch[key][number])
            np.testing.assert_array_equal(got, value)


@pytest.mark.parametrize("place", [0, 7, 9, 12, 100, -2], ids=str)
def test_a_damaged_byte_costs_its_record_alone(tmp_path, place):
    rows = rows_of(9)
    folder = write(tmp_path / "r", rows, files=1)
    (path,) = folder.glob("part*")
    index = StaticRecords(folder)._offsets
    start = 12 + int(index[3][1]) + 4 if place < 0 else 0
    damage(path, int(index[3][0]) - 12 + start + place)
    records = skipping(folder)
    assert_sound(records, rows, [3])
    (fault,) = records.faults
    assert (fault.record, fault.offset) == (3, int(index[3][0]) - 12)


def test_a_damaged_end_and_odd_records_are_skipped(tmp_path):
    rows = rows_of(8)
    odd = [row.copy() for row in rows]
    odd[2]["input_ids"] = odd[2]["input_ids"][:5]
    odd[5]["masked_lm_ids"] = np.array([7, 800, 0])
    folder = write(tmp_path / "r", odd)
    path = folder / "part-1-of-2.tfrecord"
    path.write_bytes(path.read_bytes()[:-3])
    records = skipping(folder)
    assert_sound(records, rows, [2, 5, 7])
    assert sorted(fault.record for fault in records.faults) == [1, 2, 3]
    with pytest.raises(UserError, match="on_corrupt 'perhaps'"):
        StaticRecords(folder, on_corrupt="perhaps")


def test_rows_without_a_label_are_no_real_examples(tmp_path):
    folder = write(tmp_path / "r", rows_of(8), files=1)
    (path,) = folder.glob("part*")
    damage(path, 100)
    records = skipping(folder)
    how = dict(seed=0, global_batch_size=8)
    made = dataset.pretraining_batches(records, MASKING, **how)
    (batch,) = made.take(1).as_numpy_iterator()
    empty = batch["input_mask"].sum(1) == 2
    np.testing.assert_array_equal(batch["is_real_example"], ~empty)
    made, _ = dataset.evaluation_batches(records, MASKING, **how)
    (batch,) = made.as_numpy_iterator()
    assert batch["is_real_example"].tolist() == [0] + [1] * 7


def test_nothing_but_damage_is_refused(tmp_path):
    folder = write(tmp_path / "r", rows_of(1), files=1)
    (path,) = folder.glob("part*")
    damage(path, 100)
    with pytest.raises(UserError, match="none of the 1 records"):
        skipping(folder)
    with pytest.raises(UserError, match="no such folder"):
        StaticRecords(tmp_path / "nowhere", vocab=folder / "vocab.txt")


def test_casing_is_told_or_found(tmp_path):
    folder = write(tmp_path / "r", rows_of(2))
    assert StaticRecords(folder).lowercase
    cased = tmp_path / "cased" / "vocab.txt"
    cased.parent.mkdir()
    cased.write_text("\n".join([*TOKENS, "Ahab", "Pequod"]) + "\n")
    assert not StaticRecords(folder, vocab=cased).lowercase
    settings = cased.parent / "tokenizer_config.json"
    settings.write_text('{"do_lower_case": true}')
    assert StaticRecords(folder, vocab=cased).lowercase
    for text in ('{"do_lower_case": "false"}', '{"do_lower_case": null}', "{"):
        settings.write_text(text)
        with pytest.raises(UserError, match=r"tokenizer_config\.json"):
            StaticRecords(folder, vocab=cased)


@pytest.mark.parametrize(("capitals", "lowercase"), [(1, True), (30, False)])
def test_a_stray_capital_makes_no_cased_vocabulary(
    tmp_path, capitals, lowercase
):
    folder = write(tmp_path / "r", rows_of(2))
    tokens = TOKENS + [f"v{number}" for number in range(1900)]
    tokens[-capitals:] = [f"V{number}" for number in range(capitals)]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    assert len(tokens) == 2000
    assert StaticRecords(folder).lowercase is lowercase
    assert tokens_and_case(folder)[1] is lowercase
