import gzip
import hashlib
import io
import sys

import pyarrow
import pyarrow.parquet
import pytest

from tfbert.errors import UserError
from tfrecords.text import files
from tfrecords.text.corpus import Corpus, Reading

TEXTS = ["One.\n\nStill one.", None, "  ", "Zwei \u00fc", "Three."]
WANTED = [("One.\nStill one.", 1), ("Zwei \u00fc", 4), ("Three.", 5)]
EMPTY = [("empty_text", 2), ("empty_text", 3)]


def table(texts=TEXTS, kind=None, name="text"):
    column = pyarrow.array(texts, kind or pyarrow.string())
    numbers = pyarrow.array(range(len(texts)))
    return pyarrow.table({"id": numbers, name: column})


def write(path, data, how):
    if how == "parquet":
        pyarrow.parquet.write_table(data, path, row_group_size=2)
    else:
        ipc = pyarrow.ipc
        new = ipc.new_file if how == "file" else ipc.new_stream
        with new(path, data.schema) as writer:
            writer.write_table(data, max_chunksize=2)
    return path


def read(path, **how):
    rejected = []
    corpus = Corpus(
        [str(path)], Reading(**how), lambda *entry: rejected.append(entry)
    )
    documents = [(d.text.decode(), d.line) for d in corpus]
    assert corpus.bytes_read == corpus.total_bytes
    return documents, [entry[::2] for entry in rejected], corpus.sources[0]


@pytest.mark.parametrize("how", ["parquet", "file", "stream"])
@pytest.mark.parametrize(
    "kind",
    [
        pyarrow.string(),
        pyarrow.large_string(),
        pyarrow.string_view(),
        pyarrow.dictionary(pyarrow.int16(), pyarrow.string()),
    ],
    ids=str,
)
def test_texts_of_a_column(tmp_path, how, kind):
    path = write(tmp_path / "a.bin", table(kind=kind), how)
    documents, rejected, source = read(path)
    assert documents == WANTED and rejected == EMPTY
    assert (source.lines, source.documents) == (5, 3)
    data = path.read_bytes()
    assert source.bytes == len(data)
    assert source.sha256 == hashlib.sha256(data).hexdigest()


def test_null_is_no_text_in_json_either(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": null}\n{"text": "One."}\n')
    assert read(path)[:2] == ([("One.", 2)], [("empty_text", 1)])


@pytest.mark.parametrize("how", ["parquet", "file", "stream"])
def test_bad_utf8_is_a_bad_row(tmp_path, how):
    bad = pyarrow.Array.from_buffers(
        pyarrow.string(),
        2,
        [
            None,
            pyarrow.py_buffer(b"\0\0\0\0\3\0\0\0\7\0\0\0"),
            pyarrow.py_buffer(b"a\xffbgood"),
        ],
    )
    path = write(tmp_path / "a", pyarrow.table({"text": bad}), how)
    with pytest.raises(UserError, match="a, line 1: it is not UTF-8"):
        read(path)
    assert read(path, on_bad_text="skip")[:2] == (
        [("good", 2)],
        [("bad_utf8", 1)],
    )


@pytest.mark.parametrize("how", ["parquet", "file", "stream"])
def test_columns_that_are_no_text_are_named(tmp_path, how):
    path = write(tmp_path / "a", table(name="body"), how)
    with pytest.raises(UserError, match="no column 'text'.*columns are: id, b"):
        read(path)
    assert read(path, text_field="body")[0] == WANTED
    with pytest.raises(UserError, match="column 'id' is int64, wanted text"):
        read(path, text_field="id")
    nested = pyarrow.table(
        {"text": [["a", "b"]], "meta": [{"text": "a"}], "raw": [b"a"]}
    )
    path = write(tmp_path / "b", nested, how)
    for name in nested.column_names:
        with pytest.raises(UserError, match=f"column '{name}' is .*wanted"):
            read(path, text_field=name)
    with pytest.raises(UserError, match=r"no column 'meta\.text'"):
        read(path, text_field="meta.text")
    if how != "parquet":
        twice = pyarrow.Table.from_arrays([["a"], ["b"]], ["text", "text"])
        with pytest.raises(UserError, match="several columns 'text'"):
            read(write(tmp_path / "c", twice, how))


def test_a_column_below_another_of_the_same_name(tmp_path):
    nested = pyarrow.table({"meta": [{"text": "wrong"}], "text": ["right"]})
    path = write(tmp_path / "a", nested, "parquet")
    assert read(path)[0] == [("right", 1)]


@pytest.mark.parametrize("how", ["parquet", "file", "stream"])
def test_damage_is_named(tmp_path, how):
    path = write(tmp_path / "a", table(["text"] * 1000), how)
    data = path.read_bytes()
    for end in (len(data) - 8, len(data) // 2):
        path.write_bytes(data[:end])
        with pytest.raises(UserError, match="a, after row .*damaged or cut"):
            read(path)


def test_a_stream_cut_between_two_batches_is_not_whole(tmp_path):
    stream = io.BytesIO()
    data = table(["text"] * 9)
    with pyarrow.ipc.new_stream(stream, data.schema) as writer:
        writer.write_table(data)
        border = stream.tell()
        writer.write_table(data)
    path = tmp_path / "a.arrow"
    path.write_bytes(stream.getvalue()[:border])
    with pytest.raises(UserError, match="after row 9: .*no end mark"):
        read(path)


def test_compressed_streams_are_read_and_files_are_not(tmp_path):
    path = write(tmp_path / "a", table(), "stream")
    packed = tmp_path / "a.arrow.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read(packed)[0] == WANTED
    for how in ("parquet", "file"):
        data = write(tmp_path / "b", table(), how).read_bytes()
        packed.write_bytes(gzip.compress(data))
        with pytest.raises(UserError, match="not read compressed or from a p"):
            read(packed)


def test_long_texts_come_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PART_BYTES", 100)
    path = write(tmp_path / "a", table(["\u4e2d" * 200]), "parquet")
    found, _, source = read(path)
    assert "".join(text for text, _ in found) == "\u4e2d" * 200
    assert len(found) > 5 and source.documents == 1


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "a", table(), "parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'tfbert\[arrow\]'"):
        read(path)


@pytest.mark.parametrize("how", ["parquet", "file", "stream"])
def test_a_text_beyond_the_limit_is_refused_or_left_out(tmp_path, how):
    texts = ["good", "x" * (1 << 20), None, "y" * ((1 << 20) + 1), "good"]
    path = write(tmp_path / "a.bin", table(texts), how)
    with pytest.raises(UserError, match="line 4: it is longer than 1 MiB"):
        read(path, max_line=1)
    documents, rejected, _ = read(path, max_line=1, on_bad_text="skip")
    assert [line for _, line in documents] == [1, 2, 5]
    assert ("line_too_long", 4) in rejected
    documents, _, _ = read(path)
    assert [line for _, line in documents] == [1, 2, 4, 5]
