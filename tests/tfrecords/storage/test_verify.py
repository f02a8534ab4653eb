import dataclasses

import numpy as np
import pytest

from tfbert.errors import UserError
from tfrecords.batches.batch import make_batch
from tfrecords.layout import TOKEN_IDS
from tfrecords.masking.masking import Masking
from tfrecords.storage import checksum
from tfrecords.storage.reader import Records
from tfrecords.storage.verify import verify

ROWS, LENGTH, PER_RECORD = 20, 9, 3


@pytest.fixture
def records(make_records, random_rows):
    return make_records("r", random_rows(ROWS, LENGTH), shards=2)


def shard(records, number=1):
    return records.path / records.manifest.shards[number].file


def check(records):
    return verify(records.path, records.manifest, records.classes)


def test_crc32c_of_published_strings():
    # RFC 3720, appendix B.4.
    strings = np.array([[0] * 32, [255] * 32, range(32)], np.uint8)
    want = [0x8A9136AA, 0x62A8AB43, 0x46DD794E]
    assert checksum.crc32c(strings).tolist() == want


def test_a_whole_folder_has_no_faults(records):
    told = []
    assert (
        verify(records.path, records.manifest, records.classes, told.append)
        == []
    )
    assert told == [shard.bytes for shard in records.manifest.shards]


PLACES = {
    "length": (0, "its length is not"),
    "length checksum": (8, "checksum of its length"),
    "header": (14, "checksum of its data"),
    "payload": (60, "checksum of its data"),
    "data checksum": (-1, "checksum of its data"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("record", [0, 1, 2])
def test_one_flipped_bit_is_named(records, place, record):
    layout = records.manifest.layout
    file = records.manifest.shards[1]
    assert (file.rows, file.records) == (8, 3)
    offset = record * layout.record_bytes(PER_RECORD)
    rows = 2 if record == 2 else PER_RECORD
    within, problem = PLACES[place]
    data = bytearray(shard(records).read_bytes())
    data[offset + within % layout.record_bytes(rows)] ^= 4
    shard(records).write_bytes(bytes(data))
    (fault,) = check(records)
    assert (fault.file, fault.record, fault.offset, fault.rows) == (
        file.file,
        record,
        offset,
        rows,
    )
    assert problem in fault.problem
    assert f"record {record}, byte {offset}" in str(fault)


def test_two_faults_are_both_named(records):
    data = bytearray(shard(records, 0).read_bytes())
    size = records.manifest.layout.record_bytes(PER_RECORD)
    data[3] ^= 255
    data[2 * size + 60] ^= 1
    shard(records, 0).write_bytes(bytes(data))
    assert [fault.record for fault in check(records)] == [0, 2]


@pytest.mark.parametrize("kept", [0, 1, 84, 85, 200, -1])
def test_a_file_that_is_cut_off(records, kept):
    data = shard(records).read_bytes()[:kept]
    shard(records).write_bytes(data)
    size, record = check(records)
    assert f"has {len(data)} bytes" in size.problem
    assert record.record == len(data) // records.manifest.layout.record_bytes(3)
    assert "the file ends after" in record.problem


def test_missing_and_extra_files(records):
    shard(records, 0).rename(records.path / "rows-00009.tfrecord")
    missing, extra = check(records)
    assert (missing.problem, missing.rows) == ("is missing", 12)
    assert str(extra) == "rows-00009.tfrecord: is not in the manifest"


def test_another_sound_file_is_no_substitute(
    records, make_records, random_rows
):
    other = make_records("o", random_rows(ROWS, LENGTH, seed=5), shards=2)
    shard(records).write_bytes(shard(other).read_bytes())
    (fault,) = check(records)
    assert "another sha256" in fault.problem


def test_rows_that_mean_nothing(make_records, random_rows):
    rows = random_rows(ROWS, LENGTH)
    rows[4, 3] = 60_000
    rows[8, 0] = 10
    records = make_records("w", rows, shards=2)
    beyond, begin = check(records)
    assert beyond.record == 1 and "beyond the vocabulary" in beyond.problem
    assert begin.record == 2 and "begin with [CLS]" in begin.problem


def test_a_sound_record_of_another_kind(records):
    """Checksums agree, but the feature has another name."""
    import tensorflow as tf

    size = records.manifest.layout.record_bytes(PER_RECORD)
    data = shard(records).read_bytes()
    renamed = data[12 : size - 4].replace(b"token_ids", b"token_odd")
    path = records.path / "made"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(renamed)
    shard(records).write_bytes(path.read_bytes() + data[size:])
    (fault,) = check(records)
    assert fault.record == 0
    assert fault.problem == f"it is no Example of {TOKEN_IDS!r}"
    assert dataclasses.is_dataclass(fault)


def damage(records, record):
    """Flips a bit of a record of shard 1, which has rows 12 to 19."""
    data = bytearray(shard(records).read_bytes())
    size = records.manifest.layout.record_bytes(PER_RECORD)
    data[record * size + 50] ^= 1
    shard(records).write_bytes(bytes(data))


def blank(length=LENGTH):
    return [2, 3] + [0] * (length - 2)


def test_damaged_rows_can_be_skipped(records):
    before = records.rows(np.arange(ROWS))
    damage(records, 1)
    opened = Records(records.path, on_corrupt="skip")
    assert opened.bad_rows.tolist() == [15, 16, 17]
    assert len(opened.faults) == 1
    after = opened.rows(np.arange(ROWS))
    assert after[15:18].tolist() == [blank()] * 3
    rest = np.delete(np.arange(ROWS), opened.bad_rows)
    np.testing.assert_array_equal(after[rest], before[rest])
    assert opened.rows(np.array([16])).tolist() == [blank()]


@pytest.mark.parametrize("records_left, lost", [(0, 8), (1, 5), (2, 2)])
def test_the_end_of_a_file_can_be_skipped(records, records_left, lost):
    size = records.manifest.layout.record_bytes(PER_RECORD)
    data = shard(records).read_bytes()[: records_left * size + 5]
    shard(records).write_bytes(data)
    opened = Records(records.path, on_corrupt="skip")
    assert opened.bad_rows.tolist() == list(range(ROWS - lost, ROWS))
    rows = opened.rows(np.arange(ROWS))
    assert rows[ROWS - lost :].tolist() == [blank()] * lost
    assert (rows[: ROWS - lost, 2] != 0).all()


def test_a_missing_file_can_be_skipped(records):
    shard(records).unlink()
    opened = Records(records.path, on_corrupt="skip")
    assert opened.bad_rows.tolist() == list(range(12, 20))
    assert len(opened.rows(np.arange(ROWS))) == ROWS


def test_skipped_rows_have_nothing_to_predict(records):
    damage(records, 0)
    opened = Records(records.path, on_corrupt="skip")
    rows = np.arange(ROWS)
    batch = make_batch(opened, Masking(rate=0.5), rows, 0 * rows, 0)
    weights = batch["masked_lm_weights"].sum(axis=1)
    assert (weights == 0).tolist() == [row in (12, 13, 14) for row in rows]


def test_an_unknown_way_is_refused(records):
    with pytest.raises(UserError, match="on_corrupt 'ignore'"):
        Records(records.path, on_corrupt="ignore")
