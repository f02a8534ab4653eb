"""What a file holds decides how it is read, whatever it is called."""

import gzip
import io
import json
import os
import tarfile

import pytest

from tfbert.errors import UserError
from tfrecords.text import files, formats
from tfrecords.text.corpus import Corpus, Reading

LINES = b'{"text": "One.", "n": 1}\n{"text": "Two.", "n": 2}\n'


def read(path, **how):
    rejected = []
    corpus = Corpus(
        [str(path)], Reading(**how), lambda *entry: rejected.append(entry)
    )
    return [document.text.decode() for document in corpus]


@pytest.mark.parametrize(
    "name",
    [
        "c4-train.00000-of-01024.json",
        "wiki_00",
        "dump.txt",
        "UPPER.JSONL",
        "part.00001",
        "rows.csv",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_json_lines_are_read_under_any_name(tmp_path, name, packed):
    path = tmp_path / (name + ".GZ" if packed else name)
    path.write_bytes(gzip.compress(LINES) if packed else LINES)
    assert read(path) == ["One.", "Two."]


@pytest.mark.parametrize("packed", [False, True])
def test_a_list_of_objects_is_read_by_its_items(tmp_path, packed):
    path = tmp_path / ("a.json.gz" if packed else "a.json")
    rows = [json.loads(line) for line in LINES.splitlines()]
    data = json.dumps(rows, indent=1).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    assert read(path) == ["One.", "Two."]


def test_bad_items_of_a_list_are_told_by_their_number(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"text": "One."}, {"txt": 1}, {"text": "Two."}]')
    assert read(path, on_bad_text="skip") == ["One.", "Two."]
    with pytest.raises(UserError, match="a.json, record 2: it has no field"):
        read(path)
    path.write_text('[{"text": "One."},')
    with pytest.raises(UserError, match="a.json:record 2: the JSON list does"):
        read(path)


def test_a_long_first_line_is_known_by_its_beginning(tmp_path):
    path = tmp_path / "dump"
    path.write_bytes(b'{"text": "%s"}\n' % (b"word " * 40_000))
    assert len(read(path)[0]) == 199_999
    assert formats.format_of(b"{ no json" * 9000, "dump") == formats.TEXT


@pytest.mark.parametrize("text", ["{", "{x} is a set.", '{"a" is a letter.'])
def test_text_with_braces_is_text(tmp_path, text):
    path = tmp_path / "a.txt"
    path.write_text(text + "\nmore")
    assert read(path) == [text + "\nmore"]


def test_the_format_can_be_said(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(LINES)
    (document,) = read(path, format="text")
    assert document == LINES.decode().strip()
    path.write_text('["text"]\n{"text": "One."}\n')
    assert read(path, format="jsonl", on_bad_text="skip") == ["One."]
    with pytest.raises(UserError, match="format 'csv': wanted one of"):
        Reading(format="csv")


def tar():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("a.txt")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"text"))
    return stream.getvalue()


REFUSED = [
    ("a.csv", b"id,text\n1,One\n", "holds CSV.*JSON lines"),
    ("a.TSV", b"id\ttext\n1\tOne\n", "holds TSV"),
    ("a.txt", tar(), "a tar archive. Unpack it first"),
    ("a.tgz", gzip.compress(tar()), "a tar archive"),
    ("a.warc.wet", b"WARC/1.0\r\nWARC-Type: warcinfo\r\n", "WARC.*trafilatura"),
    ("a.html", b"\n <!DOCTYPE html><p>", "HTML.*JSON lines"),
    ("a.txt", b"<HTML lang=de>", "HTML"),
    ("a.xml", b"<?xml version='1.0'?>", "XML"),
    ("wiki_00", b'<doc id="1" url="u" title="t">\n', "wikiextractor with --j"),
    ("a.json", b'{\n "text": "a"\n}', r"jq -c '\.'"),
    ("a.docx", b"PK\x03\x04....", "a ZIP archive"),
    ("a.pdf", b"%PDF-1.7\n", "a PDF"),
    ("a.txt", b"\xff\xfeO\x00n\x00", "UTF-16.*iconv"),
    ("a.bin", b"\x00\x01\x02", "binary data"),
    ("a", bytes(range(32, 127)) + b"\x02\x03", "binary data"),
    ("a.gz", gzip.compress(gzip.compress(b"One.")), "compressed twice"),
]


@pytest.mark.parametrize(
    "name, data, message", REFUSED, ids=[name for name, _, _ in REFUSED]
)
def test_what_is_no_text_is_refused_with_advice(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UserError, match=f"{name} .*{message}") as refused:
        read(path)
    if "--format text" in str(refused.value):
        assert read(path, format="text")


def found(folder):
    left = []
    paths = files.find_files([str(folder)], lambda *entry: left.append(entry))
    return (
        [os.path.relpath(path, folder) for path in paths],
        [(reason, os.path.relpath(path, folder)) for reason, path in left],
    )


def test_what_a_folder_holds_besides_is_told(tmp_path):
    holds = {
        "a.txt": b"One.",
        "b.JSON.gz": gzip.compress(LINES),
        "sub/wiki_00": LINES,
        "sub/part-00000.json": LINES,
        "README": b"notes",
        "README.md": b"notes",
        "state.json": json.dumps({"a": {"b": 1}}, indent=1).encode(),
        "table.csv": b"a,b",
        "_SUCCESS": b"",
    }
    for name, data in holds.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    paths, left = found(tmp_path)
    assert paths == ["a.txt", "b.JSON.gz", "sub/part-00000.json", "sub/wiki_00"]
    assert {reason for reason, _ in left} == {"no_text_file"}
    assert {path for _, path in left} == holds.keys() - set(paths)


def test_linked_folders_are_followed_once(tmp_path):
    top, other = tmp_path / "top", tmp_path / "other"
    (top / "deep").mkdir(parents=True)
    (other / "more").mkdir(parents=True)
    for path in (top / "deep/a.txt", other / "more/b.txt", tmp_path / "c.txt"):
        path.write_text(path.name)
    (top / "link").symlink_to(other)
    (top / "again").symlink_to(other / "more")
    (top / "deep" / "up").symlink_to(top)
    (other / "back").symlink_to(top / "deep")
    (top / "above").symlink_to(tmp_path)
    paths, left = found(top)
    names = sorted(os.path.basename(path) for path in paths)
    assert names == ["a.txt", "b.txt"]
    assert left == [("link_to_a_folder_above", "above")]
