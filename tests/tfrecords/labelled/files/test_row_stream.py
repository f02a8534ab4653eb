import gzip
import json

import pytest
import zstandard

from tfbert.errors import UserError
from tfrecords.labelled.files import row_stream, tables
from tfrecords.labelled.files.row_stream import RowStream
from tfrecords.labelled.files.tables import Reading

FILES = {
    "a.csv": 'id,text\n1,"a ""b"", c"\n\n2,"two\nlines"\r\n3,é\n',
    "b.tsv": 'text\tid\nsays "hi"\t1\nx\u2028y\t2\n',
    "c.tsv": '"text"\t"id"\n"a\tb"\t"1"\n"c ""d"""\t"2"\n',
    "d.jsonl": '{"text": "a", "more": [1, {"b": null}]}\n\n{"text": 7}\n',
    "l.json": '[{"text": "a, ] \\"", "m": [1, {"b": []}]},\n {"text": 7}\n]\n',
    "e.data": "good|fine\nbad|worse\nbad|bad\n",
}


# The same in every process: it is in the name of a test.
CUT_OFF = gzip.compress(b"text\nab\n", mtime=0)[:-5]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("pack", ["", ".gz", ".zst"])
def test_reads_what_read_table_reads(tmp_path, name, pack):
    columns = ["1"] if name == "e.data" else ["text"]
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbf" + FILES[name].encode())
    wanted = tables.read_table(path, columns)
    packed = path.with_name(name + pack)
    if pack == ".gz":
        packed.write_bytes(gzip.compress(path.read_bytes()))
    elif pack:
        packed.write_bytes(zstandard.compress(path.read_bytes()))
    stream = RowStream(packed, columns)
    rows = list(stream)
    assert [row.line for row in rows] == wanted.lines
    assert [row.wanted for row in rows] == list(
        zip(wanted.columns[columns[0]], strict=True)
    )
    assert wanted.form.endswith(stream.form)
    assert stream.bytes_read == stream.total_bytes == packed.stat().st_size


def test_keeps_all_columns(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text(FILES["d.jsonl"])
    first, second = RowStream(path, ["text"])
    assert first.cells == json.loads(FILES["d.jsonl"].split("\n")[0])
    assert (second.cells, second.wanted) == ({"text": 7}, ("7",))
    path = tmp_path / "e.data"
    path.write_text(FILES["e.data"])
    assert next(iter(RowStream(path, ["1"]))).cells == {
        "0": "good",
        "1": "fine",
    }


def test_the_digest_is_of_what_the_rows_so_far_took(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(FILES["a.csv"])
    stream = RowStream(path, ["text"])
    digests = [stream.digest() for _ in stream]
    path.write_text(FILES["a.csv"].replace("3,é", "3,e"))
    stream = RowStream(path, ["text"])
    other = [stream.digest() for _ in stream]
    assert other[:2] == digests[:2] and other[2] != digests[2]


def test_more_than_is_looked_at(tmp_path, monkeypatch):
    # The last line that is looked at ends inside of a quoted cell.
    monkeypatch.setattr(row_stream, "_LOOKED_AT", 40)
    path = tmp_path / "c.tsv"
    path.write_text('id\ttext\n1\t"a\nb"\n2\t"' + "c\n" * 99 + '"\n3\td\n')
    rows = [row.wanted[0] for row in RowStream(path, ["text"])]
    assert rows == ["a\nb", "c\n" * 99, "d"]
    lone = b'id\ttext\n1\ta " mark\n' + b"2\tx\n" * 9
    assert row_stream._sample(lone[:40]) == "id\ttext\n"


def test_bad_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,1\nb\n ,2\nc,3\n")
    stream = RowStream(path, ["text"], reading=Reading(bad_rows="skip"))
    assert [row.wanted[0] for row in stream] == ["a", "c"]
    assert stream.left_out == 2
    with pytest.raises(UserError, match="a.csv:3: 1 cells, but the header"):
        list(RowStream(path, ["text"]))
    path.write_text("text,label\na\nb\n")
    stream = RowStream(path, ["text"], reading=Reading(bad_rows="skip"))
    with pytest.raises(UserError, match="a.csv:2: 1 cells"):
        list(stream)
    path = tmp_path / "pairs.txt"
    path.write_text("a\tb\tc\n\nd\n")
    rows = RowStream(path, ["x", "y"])
    assert next(iter(rows)).wanted == ("a", "b\tc")
    with pytest.raises(UserError, match="pairs.txt:3: wanted x and y, apart"):
        list(RowStream(path, ["x", "y"]))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"", "has no rows"),
        ("a.csv", b"text\n", "has no rows"),
        ("a.jsonl", b"\n", "has no rows"),
        ("a.csv", b"text,text\na,b\n", "two columns are named 'text'"),
        ("a.csv", b"text,x,x\na,b,c\n", "two columns are named 'x'"),
        ("a.csv", b"txet,x\na,b\n", "no column 'text'. The columns are: txet"),
        ("a.csv", b"text\na\n\xff\n", "a.csv:3: not UTF-8 .byte 0xff"),
        ("a.jsonl", b'{"text": "a"}\n[1]\n', "a.jsonl:2: a JSON object"),
        ("a.jsonl", b'{"x": 1}\n', "a.jsonl:1: there is no column 'text'"),
        ("a.json", b'[{"text": "a"}, [1]]', "a.json:record 2: a JSON object"),
        (
            "a.json",
            b'[{"text": "a"}, {"x": 1}]',
            "record 2: there is no",
        ),
        ("a.json", b'[{"text": "a"}', "record 1: the JSON list does not end"),
        ("a.json", b'[{"text": "\xff"}]', "a.json:record 1: not UTF-8"),
        ("a.csv", b"PAR1....", "a Parquet file"),
        (
            "a.parquet",
            b"",
            ".csv, .jsonl, .json, .txt, not '.parquet'",
        ),
        ("a.csv.gz", CUT_OFF, "cannot be read to"),
        ("a.csv", b'text\n"a\n', "a.csv:2: not valid CSV"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UserError, match=message):
        list(RowStream(path, ["text"]))


def test_a_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        RowStream(tmp_path / "none.csv", ["text"])
    with pytest.raises(UserError, match="is a folder; a file was wanted"):
        RowStream(tmp_path, ["text"])


def test_lines_have_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(row_stream, "_LINE_BYTES", 9)
    path = tmp_path / "a.txt"
    path.write_text("12345678\n123456789\n")
    with pytest.raises(UserError, match="a.txt:2: a line of more than"):
        list(RowStream(path, ["text"]))
