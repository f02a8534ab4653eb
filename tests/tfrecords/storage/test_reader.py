import json

import numpy as np
import pytest
import tensorflow as tf

from tfbert.errors import UserError
from tfrecords import layout
from tfrecords.storage.manifest import Manifest
from tfrecords.storage.reader import Records


@pytest.mark.parametrize("count", [1, 2, 3, 4, 29, 30, 31])
@pytest.mark.parametrize("shards", [1, 4])
def test_any_row_is_found(make_records, random_rows, count, shards):
    rows = random_rows(count, 9)
    records = make_records("r", rows, shards=shards)
    assert records.num_rows == count
    ids = np.random.default_rng(0).integers(0, count, 100)
    np.testing.assert_array_equal(records.rows(ids), rows[ids])


def test_shards_are_plain_tfrecords(make_records, random_rows):
    rows = random_rows(20, 9)
    records = make_records("r", rows, shards=2)
    files = [str(records.path / s.file) for s in records.manifest.shards]
    found = []
    for data in tf.data.TFRecordDataset(files).as_numpy_iterator():
        example = tf.train.Example.FromString(data)
        (value,) = example.features.feature[layout.TOKEN_IDS].bytes_list.value
        found.append(np.frombuffer(value, "<u2").reshape(-1, 9))
    np.testing.assert_array_equal(np.concatenate(found), rows)
    records_of = [shard.records for shard in records.manifest.shards]
    assert sum(records_of) == len(found)


def test_locate_points_at_the_row(make_records, random_rows):
    rows = random_rows(20, 9)
    records = make_records("r", rows, shards=3)
    for row in range(20):
        file, _, offset = records.locate(row)
        data = (records.path / file).read_bytes()[offset : offset + 18]
        np.testing.assert_array_equal(np.frombuffer(data, "<u2"), rows[row])


def test_manifest_comes_back(make_records, random_rows):
    records = make_records("r", random_rows(5, 9))
    again = Manifest.read(records.path)
    assert again == records.manifest
    assert again.to_json() == records.manifest.to_json()
    assert 0 < again.packing_efficiency <= 1


def shard(records, number=0):
    return records.path / records.manifest.shards[number].file


def edit(records, **changes):
    path = records.path / layout.MANIFEST_FILE
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "harm, message",
    [
        (lambda r: shard(r).unlink(), "00000.tfrecord is missing"),
        (lambda r: shard(r).write_bytes(b""), "has 0 bytes"),
        (
            lambda r: shard(r).write_bytes(shard(r).read_bytes()[:-1]),
            "the manifest says",
        ),
        (
            lambda r: (r.path / "rows-00007.tfrecord").write_bytes(b"x"),
            "rows-00007.tfrecord is not in it",
        ),
        (lambda r: (r.path / "vocab.txt").unlink(), "vocab.txt is missing"),
        (
            lambda r: (r.path / "vocab.txt").write_text("a\nb\n"),
            "not the vocabulary",
        ),
        (lambda r: (r.path / "manifest.json").unlink(), "no records in"),
        (lambda r: (r.path / "manifest.json").write_text("{"), "not JSON"),
        (lambda r: edit(r, format="x"), "not the manifest"),
        (lambda r: edit(r, format_version=99), "format version 99"),
        (lambda r: edit(r, rows=4), "counts 4 rows"),
        (lambda r: edit(r, rows_per_record=2), "do not agree"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(
    make_records, random_rows, harm, message
):
    records = make_records("r", random_rows(20, 9), shards=2)
    harm(records)
    with pytest.raises(UserError, match=message):
        Records(records.path)


def test_a_manifest_without_an_entry_is_refused(make_records, random_rows):
    records = make_records("r", random_rows(5, 9))
    path = records.path / layout.MANIFEST_FILE
    content = json.loads(path.read_text())
    del content["tokens"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="tokens"):
        Records(records.path)


def test_ids_beyond_the_vocabulary_are_named(make_records, random_rows):
    rows = random_rows(20, 9)
    rows[13, 4] = 5000
    records = make_records("r", rows, shards=2)
    records.rows(np.arange(10))
    with pytest.raises(
        UserError, match="00001.*record 0, byte 51: row 13 .* 5000"
    ):
        records.rows(np.array([2, 13]))


def _set(path, value):
    def change(content):
        *way, last = path
        for key in way:
            content = content[key]
        content[last] = value

    return change


BROKEN_MANIFESTS = [
    (_set(["shards"], None), "shards should be a list; it is None"),
    (_set(["shards"], [None]), r"shards\[0\] should be an object"),
    (_set(["shards", 0], {"file": "a"}), r"shards\[0\]\.rows .*is nothing"),
    (_set(["shards", 0, "rows"], True), r"shards\[0\]\.rows .*from 1"),
    (_set(["shards", 0, "file"], "/etc/hostname"), "without a path"),
    (_set(["shards", 0, "file"], "../r/rows-00000.tfrecord"), "without a path"),
    (_set(["shards", 0, "file"], ".."), "without a path"),
    (_set(["shards", 1, "file"], "rows-00000.tfrecord"), "named once each"),
    (_set(["shards", 0, "sha256"], "0"), "64 hexadecimal digits"),
    (_set(["vocabulary"], {}), "vocabulary.file should be the name"),
    (_set(["vocabulary"], []), "vocabulary should be an object"),
    (_set(["vocabulary", "file"], "/etc/passwd"), "without a path"),
    (_set(["tokenizer"], {"lowercase": "yes"}), "tokenizer.lowercase .*true"),
    (_set(["rows_per_record"], 0), "rows_per_record .*whole number from 1"),
    (_set(["token_bytes"], 3), r"token_bytes should be one of \(2, 4\)"),
    (_set(["label_columns"], True), "label_columns should be one of"),
    (_set(["sequence_length"], "16"), "sequence_length .*it is '16'"),
    (_set(["objective"], "magic"), "objective should be one of"),
    (_set(["held_out_share"], float("nan")), "held_out_share .*it is nan"),
    (_set(["document_lengths"], {"x": 1}), "document_lengths.x"),
    (_set(["longest_documents"], [{}]), r"longest_documents\[0\]\.file"),
    (_set(["rejected"], {"duplicate": -1}), "rejected.duplicate"),
    (_set(["sources"], [3]), r"sources\[0\] should be an object"),
]


@pytest.mark.parametrize(
    "change, message",
    BROKEN_MANIFESTS,
    ids=[message for _, message in BROKEN_MANIFESTS],
)
def test_a_broken_manifest_is_one_message(
    make_records, random_rows, change, message
):
    path = make_records("r", random_rows(9, 16), shards=2).path
    manifest = path / layout.MANIFEST_FILE
    content = json.loads(manifest.read_text())
    change(content)
    manifest.write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"manifest.json: .*{message}"):
        Manifest.read(path)


def test_a_manifest_of_a_later_version_is_read(make_records, random_rows):
    records = make_records("r", random_rows(9, 16))
    manifest = records.path / layout.MANIFEST_FILE
    content = json.loads(manifest.read_text())
    content["later"] = content["shards"][0]["later"] = {"a": 1}
    manifest.write_text(json.dumps(content))
    assert Manifest.read(records.path) == records.manifest


@pytest.mark.parametrize("text", ["[" * 100_000, '{"rows": ' + "9" * 5000])
def test_a_manifest_that_is_no_json(tmp_path, text):
    (tmp_path / layout.MANIFEST_FILE).write_text(text)
    with pytest.raises(UserError, match="manifest.json is not JSON"):
        Manifest.read(tmp_path)
    (tmp_path / layout.MANIFEST_FILE).unlink()
    (tmp_path / layout.MANIFEST_FILE).mkdir()
    with pytest.raises(UserError, match="manifest.json cannot be read: Is a"):
        Manifest.read(tmp_path)


def test_a_label_that_is_none_is_named(make_records):
    rows = np.tile(np.array([2, 10, 3, 11, 3, 0]), (4, 1))
    rows[2, -1] = 7
    records = make_records("r", rows, objective=layout.NEXT_SENTENCE)
    records.rows(np.array([0, 1, 3]))
    message = r"rows-00000.tfrecord, record 0, byte \d+: row 2 has the label 7"
    with pytest.raises(UserError, match=message):
        records.rows(np.arange(4))
