import hashlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer
from tfrecords import layout
from tfrecords.build import chunks, split
from tfrecords.build.build import BuildSettings, build_records
from tfrecords.storage.reader import Records

WORDS = [
    "the", "sea", "was", "calm", "and", "ship", "sail", "wind", "north",
    "night", "old", "man", "saw", "light", "far", "away", "he", "spoke",
]  # fmt: skip
TOKENS = (
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", "##ing", "##ed"]
    + WORDS
    + [chr(c) for c in range(ord("a"), ord("z") + 1)]
    + ["##" + chr(c) for c in range(ord("a"), ord("z") + 1)]
)


def prose(count, seed=0):
    """Documents of different lengths, all different."""
    rng = np.random.default_rng(seed)
    documents = []
    for number in range(count):
        letters = " ".join(f"{number:04d}".translate(_LETTERS))
        lines = [letters + "."]
        for _ in range(rng.integers(1, 8)):
            words = rng.choice(WORDS, rng.integers(2, 25))
            lines.append(" ".join(words) + ".")
        documents.append("\n".join(lines))
    return documents


_LETTERS = str.maketrans("0123456789", "abcdefghij")


@pytest.fixture
def vocab(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(TOKENS) + "\n")
    return str(path)


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "text"
    folder.mkdir()
    documents = prose(300)
    (folder / "a.txt").write_text("\n\n".join(documents[:200]))
    lines = [json.dumps({"text": text}) for text in documents[200:]]
    (folder / "b.jsonl").write_text("\n".join(lines))
    return str(folder)


def settings(corpus, vocab, output, **how):
    how = {"max_length": 32, "processes": 1, **how}
    return BuildSettings(input=[corpus], vocab=vocab, output=str(output), **how)


def content(folder):
    """{relative path: bytes} of a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def text_of(records):
    """The multiset of a folder's words, [CLS] and [SEP] left out."""
    ids = records.tokens(np.arange(records.num_rows))
    return np.bincount(ids[ids > 4], minlength=len(TOKENS))


def test_all_text_is_in_the_rows(tmp_path, corpus, vocab):
    made = build_records(settings(corpus, vocab, tmp_path / "r"))
    records = Records(tmp_path / "r")
    manifest = records.manifest
    assert made == {"train": manifest}
    ids = Tokenizer(vocab)(prose(300)).values.numpy()
    want = np.bincount(ids[ids > 4], minlength=len(TOKENS))
    np.testing.assert_array_equal(text_of(records), want)
    rows = records.tokens(np.arange(records.num_rows))
    assert manifest.documents == 300
    assert manifest.tokens == (rows != 0).sum()
    assert manifest.tokens - manifest.special_tokens == len(ids)
    assert manifest.sequences == (rows == 2).sum()
    assert manifest.packed and manifest.packing_efficiency > 0.98
    assert manifest.overhead < 0.05
    assert sum(manifest.document_lengths.values()) == 300
    longest = manifest.longest_documents[0]
    assert longest["tokens"] == max(map(len, Tokenizer(vocab)(prose(300))))
    assert [s["documents"] for s in manifest.sources] == [200, 100]
    text = (tmp_path / "text" / "a.txt").read_bytes()
    assert manifest.sources[0]["sha256"] == hashlib.sha256(text).hexdigest()
    data = (tmp_path / "r" / manifest.shards[0].file).read_bytes()
    assert manifest.shards[0].sha256 == hashlib.sha256(data).hexdigest()
    again = Tokenizer.from_folder(tmp_path / "r")
    assert again.vocabulary == records.vocabulary
    assert again.settings == manifest.tokenizer == {"lowercase": True}


def test_bytes_do_not_depend_on_processes(tmp_path, corpus, vocab, monkeypatch):
    # More chunks than are under way at once.
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 2000)
    how = {"held_out": 0.2, "shard_rows": 100, "on_bad_text": "skip"}
    with open(os.path.join(corpus, "c.txt"), "wb") as stream:
        stream.write(b"\xff\n\n\x00\x01\n\nthe sea\n\nthe sea")
    built = []
    for processes in (1, 2):
        output = tmp_path / f"r{processes}"
        build_records(
            settings(corpus, vocab, output, processes=processes, **how)
        )
        built.append(content(output))
    assert built[0] == built[1]
    assert sum(name.endswith(".tfrecord") for name in built[0]) > 4


def test_held_out_documents_are_whole_and_elsewhere(tmp_path, corpus, vocab):
    how = {"max_length": 512, "packing": False, "held_out": 0.25}
    build_records(settings(corpus, vocab, tmp_path / "r", **how))
    train = Records(tmp_path / "r")
    held = Records(tmp_path / "r" / layout.HELD_OUT_FOLDER)
    assert held.manifest.split == "held_out"
    assert train.num_rows + held.num_rows == 300
    assert 40 < held.num_rows < 110

    def names(records):
        rows = records.tokens(np.arange(records.num_rows))
        return {tuple(row[:8]) for row in rows}

    assert not names(train) & names(held)
    # A document stays on its side whatever else there is.
    os.unlink(os.path.join(corpus, "b.jsonl"))
    build_records(settings(corpus, vocab, tmp_path / "less", **how))
    less = Records(tmp_path / "less" / layout.HELD_OUT_FOLDER)
    assert names(less) < names(held)


def test_copies_are_dropped_and_counted(tmp_path, vocab):
    folder = tmp_path / "text"
    folder.mkdir()
    (folder / "a.txt").write_text(
        "the sea\n\nthe ship\n\nthe sea \n\n\n the sea"
    )
    (folder / "b.txt").write_text("the ship")
    how = {"packing": False}
    build_records(settings(str(folder), vocab, tmp_path / "r", **how))
    records = Records(tmp_path / "r")
    assert records.num_rows == 2
    assert records.manifest.rejected == {"duplicate": 3}
    log = (tmp_path / "r" / layout.REJECTED_FILE).read_text().splitlines()
    places = [json.loads(line) for line in log]
    assert [entry["line"] for entry in places] == [5, 8, 1]
    assert places[2]["file"].endswith("b.txt")
    build_records(
        settings(
            str(folder), vocab, tmp_path / "all", keep_duplicates=True, **how
        )
    )
    assert Records(tmp_path / "all").num_rows == 5


def test_files_that_are_left_out_are_counted(tmp_path, corpus, vocab):
    (tmp_path / "text" / "notes.md").write_text("notes")
    build_records(settings(corpus, vocab, tmp_path / "r"))
    assert Records(tmp_path / "r").manifest.rejected == {"no_text_file": 1}
    log = (tmp_path / "r" / layout.REJECTED_FILE).read_text()
    entry = json.loads(log)
    assert entry["file"].endswith("notes.md") and entry["line"] == 0


def test_documents_without_tokens_are_counted(tmp_path, vocab):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\x00\x01\n\nthe sea")
    build_records(settings(str(path), vocab, tmp_path / "r"))
    manifest = Records(tmp_path / "r").manifest
    assert manifest.rejected == {"no_tokens": 1}
    assert manifest.documents == 1


@pytest.mark.parametrize(
    "objective", [layout.NEXT_SENTENCE, layout.SENTENCE_ORDER]
)
def test_pairs_have_labels(tmp_path, corpus, vocab, objective):
    build_records(settings(corpus, vocab, tmp_path / "r", objective=objective))
    records = Records(tmp_path / "r")
    rows = records.rows(np.arange(records.num_rows))
    assert records.has_labels and not records.manifest.packed
    assert set(rows[:, -1].tolist()) == {0, 1}
    assert (rows[:, 0] == 2).all()
    assert ((rows[:, :-1] == 3).sum(1) == 2).all()


def test_next_sentences_of_one_document_are_refused(tmp_path, vocab):
    path = tmp_path / "a.txt"
    path.write_text("the sea was calm.\nthe ship saw light.\n" * 20)
    how = {"objective": layout.NEXT_SENTENCE}
    with pytest.raises(UserError, match=r"got one \(train: .*a.txt, line 1\)"):
        build_records(settings(str(path), vocab, tmp_path / "r", **how))
    # A second document without a token is none.
    path.write_text("the sea was calm.\nthe ship saw light.\n\n\0")
    with pytest.raises(UserError, match="--documents line"):
        build_records(settings(str(path), vocab, tmp_path / "r", **how))
    path.write_text("the sea was calm.\n\nthe ship saw light.\n\nhe")
    build_records(settings(str(path), vocab, tmp_path / "r", **how))
    records = Records(tmp_path / "r")
    assert sorted(records.rows(np.arange(2))[:, -1].tolist()) == [0, 1]
    assert records.manifest.rejected == {"one_token": 1}
    assert not (tmp_path / "r" / "pairs").exists()


def test_documents_larger_than_a_chunk_give_both_labels(
    tmp_path, vocab, monkeypatch
):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 2000)
    rng = np.random.default_rng(0)
    texts = [
        "\n".join(" ".join(rng.choice(WORDS, 9)) + "." for _ in range(200))
        for _ in range(3)
    ]
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(texts))
    how = {"objective": layout.NEXT_SENTENCE, "processes": 1, "max_length": 32}
    build_records(settings(str(path), vocab, tmp_path / "r", **how))
    records = Records(tmp_path / "r")
    rows = records.rows(np.arange(records.num_rows))
    assert 0.45 < rows[:, -1].mean() < 0.55
    assert records.manifest.tokens == (rows[:, :-1] != 0).sum()


@pytest.mark.parametrize(
    "how, message",
    [
        ({"max_length": 4}, "max_length 4"),
        ({"max_length": 10**6}, "max_length 1000000"),
        ({"held_out": 1.0}, "held_out 1.0"),
        ({"objective": "x"}, "objective 'x'"),
        ({"shard_rows": 0}, "shard_rows 0"),
        ({"processes": -1}, "processes -1"),
        ({"on_bad_text": "x"}, "on_bad_text 'x'"),
    ],
)
def test_settings_that_cannot_be_are_refused(how, message):
    with pytest.raises(UserError, match=message):
        settings("x", "y", "z", **how)


def test_no_text_leaves_nothing_behind(tmp_path, vocab):
    path = tmp_path / "a.txt"
    path.write_text(" \n\n")
    with pytest.raises(UserError, match="1 files, 3 bytes, 0 documents"):
        build_records(settings(str(path), vocab, tmp_path / "r"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "vocab.txt"]


def test_a_share_that_holds_nothing_out_is_refused(tmp_path, vocab):
    path = tmp_path / "a.txt"
    path.write_text("the sea")
    how = {"held_out": 1e-9}
    with pytest.raises(UserError, match="none of the 1 documents"):
        build_records(settings(str(path), vocab, tmp_path / "r", **how))


def test_bad_text_leaves_nothing_behind(tmp_path, corpus, vocab):
    with open(os.path.join(corpus, "z.txt"), "wb") as stream:
        stream.write(b"good\n\xff")
    with pytest.raises(UserError, match="z.txt, line 2"):
        build_records(settings(corpus, vocab, tmp_path / "r"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text", "vocab.txt"]


@pytest.mark.parametrize(
    "name", ["rows-00000.tfrecord", "manifest.json", "pairs"]
)
def test_a_full_disk_is_told(tmp_path, corpus, vocab, monkeypatch, name):
    start = split.Split.__init__

    def on_a_full_disk(self, settings, tokenizer, folder):
        (folder / name).symlink_to("/dev/full")
        start(self, settings, tokenizer, folder)

    monkeypatch.setattr(split.Split, "__init__", on_a_full_disk)
    how = {
        "objective": layout.NEXT_SENTENCE if name == "pairs" else "masked_lm"
    }
    with pytest.raises(UserError, match="cannot be written.*No space left"):
        build_records(settings(corpus, vocab, tmp_path / "r", **how))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text", "vocab.txt"]


def test_an_output_folder_in_use_is_kept(tmp_path, corpus, vocab):
    output = tmp_path / "r"
    output.mkdir()
    (output / "mine").write_text("precious")
    with pytest.raises(UserError, match="output folder in use"):
        build_records(settings(corpus, vocab, output))
    assert content(output) == {"mine": b"precious"}


def test_progress_is_told(tmp_path, corpus, vocab):
    told = []
    build_records(
        settings(corpus, vocab, tmp_path / "r"), lambda *now: told.append(now)
    )
    done, total, documents, rows = told[-1]
    assert done == total > 0
    assert documents == 300
    assert rows == Records(tmp_path / "r").num_rows


@pytest.mark.long
def test_a_killed_build_starts_clean(tmp_path, corpus, vocab):
    """kill -9 in the middle: no output, and the next build is as if alone."""
    output = tmp_path / "r"
    script = (
        "import os, signal, sys\n"
        "from tfrecords.build.build import BuildSettings, build_records\n"
        "def stop(*now): os.kill(os.getpid(), signal.SIGKILL)\n"
        "build_records(BuildSettings(input=[sys.argv[1]], vocab=sys.argv[2],\n"
        "    output=sys.argv[3], max_length=32, processes=1), stop)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, corpus, vocab, str(output)],
        capture_output=True,
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert not output.exists()
    assert list(tmp_path.glob(".building-*/*.tfrecord"))
    build_records(settings(corpus, vocab, output))
    assert not list(tmp_path.glob(".building-*"))
    build_records(settings(corpus, vocab, tmp_path / "other"))
    assert content(output) == content(tmp_path / "other")
