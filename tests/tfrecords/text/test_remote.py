"""Text and records in TensorFlow's own file system in memory."""

import hashlib
import os

import numpy as np
import pyarrow.parquet
import pytest
import tensorflow as tf

from tfbert.errors import UserError
from tfrecords.build.build import BuildSettings, build_records
from tfrecords.storage.legacy_2018 import open_records
from tfrecords.storage.reader import Records
from tfrecords.text import corpus, files, remote

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]


@pytest.fixture
def url(tmp_path, monkeypatch):
    """A folder that is nowhere on disk."""
    monkeypatch.setenv(remote.CACHE_VARIABLE, str(tmp_path / "cache"))
    folder = f"ram://{tmp_path.name}"
    tf.io.gfile.makedirs(folder)
    return folder


def put(url, data):
    tf.io.gfile.makedirs(os.path.dirname(url))
    if tf.io.gfile.exists(url):
        tf.io.gfile.remove(url)  # This file system does not shorten files.
    with tf.io.gfile.GFile(url, "wb") as stream:
        stream.write(data)


def upload(folder, url):
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            put(f"{url}/{path.relative_to(folder)}", path.read_bytes())


def test_text_is_found_and_read(url, tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    (tmp_path / "here").mkdir()
    for name, text in {"a.txt": "a b\n\nb c", "b.txt": "c b a"}.items():
        put(f"{url}/text/{name}", text.encode())
        (tmp_path / "here" / name).write_text(text)
    put(f"{url}/text/notes.doc", b"no text")
    rows = []
    for number, source in enumerate(
        [
            f"{url}/text",
            f"{url}/text/*.txt",
            str(tmp_path / "here"),
        ]
    ):
        output = str(tmp_path / f"records{number}")
        vocab = str(tmp_path / "vocab.txt")
        build_records(BuildSettings([source], vocab, output, processes=1))
        records = Records(output)
        assert [s["bytes"] for s in records.manifest.sources] == [8, 5]
        rows.append(records.tokens(np.arange(records.num_rows)))
    np.testing.assert_array_equal(rows[0], rows[2])
    np.testing.assert_array_equal(rows[1], rows[2])
    with pytest.raises(UserError, match="no text found at 'ram://"):
        build_records(BuildSettings([f"{url}/no"], vocab, "out"))


def test_tables_are_read_where_they_lie(url, tmp_path):
    pyarrow.parquet.write_table(
        pyarrow.table({"text": ["a b", "c"] * 99}), tmp_path / "a.parquet"
    )
    data = (tmp_path / "a.parquet").read_bytes()
    put(f"{url}/text/part-0", data)
    put(f"{url}/text/notes", b"no text")
    left = []
    paths = files.find_files([f"{url}/text"], lambda *entry: left.append(entry))
    assert paths == [f"{url}/text/part-0"]
    assert left == [("no_text_file", f"{url}/text/notes")]
    text = corpus.Corpus(paths, corpus.Reading(), None)
    assert [document.text for document in text] == [b"a b", b"c"] * 99
    assert text.sources[0].sha256 == hashlib.sha256(data).hexdigest()


def test_records_are_copied_once(url, make_records, random_rows):
    records = make_records("r", random_rows(9, 16), shards=2)
    upload(records.path, f"{url}/r")
    for opened in (Records(f"{url}/r"), open_records(f"{url}/r/")):
        np.testing.assert_array_equal(
            opened.tokens(np.arange(9)), records.tokens(np.arange(9))
        )
    first = opened.path
    stamps = [path.stat().st_mtime_ns for path in sorted(first.iterdir())]
    again = Records(f"{url}/r").path
    assert again == first
    assert stamps == [p.stat().st_mtime_ns for p in sorted(again.iterdir())]
    # Other records under the same name are another copy.
    other = make_records("o", random_rows(9, 16, seed=1), shards=2)
    upload(other.path, f"{url}/r")
    np.testing.assert_array_equal(
        Records(f"{url}/r").tokens(np.arange(9)), other.tokens(np.arange(9))
    )


def test_a_copy_that_was_cut_off_is_mended(url, make_records, random_rows):
    records = make_records("r", random_rows(9, 16))
    upload(records.path, f"{url}/r")
    copy = Records(f"{url}/r").path
    (shard,) = copy.glob("rows-*")
    shard.write_bytes(shard.read_bytes()[:50])
    np.testing.assert_array_equal(
        Records(f"{url}/r").tokens(np.arange(9)), records.tokens(np.arange(9))
    )


def test_what_is_not_there_is_named(url, tmp_path):
    with pytest.raises(UserError, match="ram://.*nowhere cannot be read"):
        Records(f"{url}/nowhere")
    tf.io.gfile.makedirs(f"{url}/empty")
    with pytest.raises(UserError, match="no records in ram://.*empty"):
        Records(f"{url}/empty")
    with pytest.raises(UserError, match="unheard://x.* cannot be read"):
        Records("unheard://x")
    with pytest.raises(UserError, match="unheard://x.* cannot be read"):
        remote.find("unheard://x")
    with pytest.raises(OSError, match="NotFound"):
        remote.Stream(f"{url}/nowhere").read()
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("\n".join(TOKENS) + "\n")
    (tmp_path / "a.txt").write_text("a b c")
    text = [str(tmp_path / "a.txt")]
    with pytest.raises(UserError, match="a folder of this machine"):
        build_records(BuildSettings(text, str(vocab), f"{url}/out"))


def test_a_cache_without_room_is_named(
    url, make_records, random_rows, tmp_path
):
    records = make_records("r", random_rows(9, 16))
    upload(records.path, f"{url}/r")
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match="TFBERT_CACHE names another"):
        Records(f"{url}/r")


def test_text_that_vanishes_is_named(url):
    put(f"{url}/text/a.txt", b"a b")
    put(f"{url}/text/b.txt", b"a b")
    paths = files.find_files([f"{url}/text"])
    tf.io.gfile.remove(paths[1])
    text = corpus.Corpus(paths, corpus.Reading(), None)
    documents = iter(text)
    next(documents)
    with pytest.raises(UserError, match="b.txt cannot be read"):
        next(documents)


def test_records_that_vanish_are_named(
    url, make_records, random_rows, monkeypatch
):
    upload(make_records("r", random_rows(9, 16)).path, f"{url}/r")
    there = remote._below(f"{url}/r")
    for name, message in (
        ("gone", "ram://.*/r cannot be read"),
        ("../out", "an object named '../out'"),
        ("/etc/x", "an object named '/etc/x'"),
    ):
        monkeypatch.setattr(
            remote, "_below", lambda _, n=name: [*there, f"{url}/r/{n}"]
        )
        with pytest.raises(UserError, match=message):
            Records(f"{url}/r")


def test_copies_of_two_containers_do_not_meet(
    url, make_records, random_rows, monkeypatch, tmp_path
):
    """Both may be process 1."""
    upload(make_records("r", random_rows(9, 16)).path, f"{url}/r")
    names = []
    copy = tf.io.gfile.copy

    def watched(source, target, overwrite):
        names.append(target)
        copy(source, target, overwrite)

    monkeypatch.setattr(tf.io.gfile, "copy", watched)
    for cache in ("one", "two"):
        monkeypatch.setenv(remote.CACHE_VARIABLE, str(tmp_path / cache))
        Records(f"{url}/r")
    assert len({os.path.basename(name) for name in names}) == len(names) == 8

    def broken(source, target, overwrite):
        copy(source, target, overwrite)
        raise tf.errors.UnavailableError(None, None, "down")

    monkeypatch.setattr(tf.io.gfile, "copy", broken)
    monkeypatch.setenv(remote.CACHE_VARIABLE, str(tmp_path / "three"))
    with pytest.raises(UserError, match="cannot be read: down"):
        Records(f"{url}/r")
    left = (tmp_path / "three").rglob("*")
    assert not [path for path in left if path.is_file()]
