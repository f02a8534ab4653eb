import gzip
import json
import os
import threading

import pytest
import zstandard

from tfbert.errors import UserError
from tfrecords.text import files
from tfrecords.text.corpus import Corpus, Reading


def read(*paths, **how):
    """(texts with first lines, rejected lines, sources)."""
    rejected = []
    corpus = Corpus(
        [str(path) for path in paths],
        Reading(**how),
        lambda *entry: rejected.append(entry),
    )
    documents = [(d.text.decode(), d.line) for d in corpus]
    assert corpus.bytes_read == corpus.total_bytes
    return documents, rejected, corpus.sources


def write(path, data):
    data = data.encode() if isinstance(data, str) else data
    path.write_bytes(data)
    return path


PROSE = "One.\nTwo two.\n\n\n  \nThree.\n"


def test_blank_lines_separate_documents(tmp_path):
    path = write(tmp_path / "a.txt", PROSE)
    documents, rejected, (source,) = read(path)
    assert documents == [("One.\nTwo two.", 1), ("Three.", 6)]
    assert not rejected
    assert (source.lines, source.documents) == (6, 2)
    assert source.bytes == len(PROSE)
    assert len(source.sha256) == 64


def test_lines_may_be_documents(tmp_path):
    path = write(tmp_path / "a.txt", PROSE)
    documents, *_ = read(path, documents="line")
    assert documents == [("One.", 1), ("Two two.", 2), ("Three.", 6)]


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_compressed_files_read_the_same(tmp_path, ending):
    data = PROSE.encode() * 500
    plain = write(tmp_path / "a.txt", data)
    pack = gzip.compress if ending == ".gz" else zstandard.compress
    # Two members one after the other, as `cat a.gz b.gz` makes them.
    half = data.index(b"Three") + 7
    packed = write(
        tmp_path / f"b.txt{ending}", pack(data[:half]) + pack(data[half:])
    )
    assert read(packed)[0] == read(plain)[0]


def test_windows_files_read_the_same(tmp_path):
    plain = write(tmp_path / "a.txt", PROSE)
    odd = write(
        tmp_path / "b.txt",
        b"\xef\xbb\xbf" + PROSE.replace("\n", "\r\n").encode(),
    )
    assert read(odd)[0] == read(plain)[0]


@pytest.mark.parametrize("data", ["", "\n" * 1000, " \n\t\n", "\ufeff"])
def test_files_without_text_have_no_documents(tmp_path, data):
    documents, rejected, (source,) = read(write(tmp_path / "a.txt", data))
    assert documents == [] and rejected == []
    assert source.documents == 0


def test_json_lines(tmp_path):
    lines = [
        json.dumps({"text": "One.\n\nTwo."}),
        "",
        json.dumps({"text": "Drei \u00fc", "n": 1}),
    ]
    path = write(tmp_path / "a.jsonl", "\n".join(lines))
    assert read(path)[0] == [("One.\nTwo.", 1), ("Drei \u00fc", 3)]


BAD_JSON = [
    ('{"text": "a"', "bad_json", "is not JSON"),
    ('{"body": "a"}', "no_text_field", "no field 'text'"),
    ("[1]", "no_text_field", "no field 'text'"),
    ('{"text": 5}', "text_not_a_string", "has a int"),
    ('{"text": "\\ud800"}', "bad_utf8", "surrogate"),
    ("[" * 100_000, "bad_json", "nested too deeply"),
    ('{"text": "a", "n": ' + "9" * 5000 + "}", "bad_json", "is not JSON"),
    ('{"text": "' + "x" * (1 << 20) + '"}', "line_too_long", "than 1 MiB"),
]


@pytest.mark.parametrize(
    "line, reason, problem", BAD_JSON, ids=[entry[2] for entry in BAD_JSON]
)
def test_bad_json_stops_or_is_counted(tmp_path, line, reason, problem):
    good = '{"text": "good"}'
    path = write(tmp_path / "a.jsonl", f"{good}\n{line}\n{good}\n")
    with pytest.raises(UserError, match=f"a.jsonl, line 2: .*{problem}"):
        read(path, max_line=1)
    documents, rejected, _ = read(path, on_bad_text="skip", max_line=1)
    assert documents == [("good", 1), ("good", 3)]
    assert rejected == [(reason, str(path), 2)]


def test_half_surrogates_can_be_replaced(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "x\\ud800 \\ud83d\\ude00"}')
    documents, *_ = read(path, on_bad_text="replace")
    assert documents == [("x\ufffd \U0001f600", 1)]


def test_empty_json_text_is_counted(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": " \\n "}\n{"text": "a"}\n')
    documents, rejected, _ = read(path)
    assert documents == [("a", 2)]
    assert rejected == [("empty_text", str(path), 1)]


def test_bad_utf8_stops_and_names_the_place(tmp_path):
    path = write(tmp_path / "a.txt", b"good\nb\xffd\ngood\n")
    with pytest.raises(
        UserError, match="a.txt, line 2.*0xff at column 2.*--on_bad_text"
    ):
        read(path)


def test_bad_utf8_is_skipped_or_replaced(tmp_path):
    path = write(tmp_path / "a.txt", b"good\nb\xffd\nbetter\n")
    documents, rejected, _ = read(path, on_bad_text="skip")
    assert documents == [("good\nbetter", 1)]
    assert rejected == [("bad_utf8", str(path), 2)]
    documents, rejected, _ = read(path, on_bad_text="replace")
    assert documents == [("good\nb\ufffdd\nbetter", 1)]
    assert rejected == []


@pytest.mark.parametrize(
    "how", [{"documents": "page"}, {"on_bad_text": "no"}, {"max_line": 0}]
)
def test_unknown_choices_are_refused(how):
    with pytest.raises(UserError, match="wanted"):
        Reading(**how)


@pytest.mark.parametrize("blank", ["\u3000", "\u00a0 \u3000\t", "\u2003"])
def test_white_space_of_all_scripts_separates_documents(tmp_path, blank):
    text = f"\u3000\u4e00\n\u4e8c\n{blank}\n\u4e09\n"
    path = write(tmp_path / "a.txt", text)
    wanted = [("\u3000\u4e00\n\u4e8c", 1), ("\u4e09", 4)]
    assert read(path)[0] == wanted
    assert read(path, documents="line")[0][2:] == wanted[1:]
    line = json.dumps({"text": text}) + "\n" + json.dumps({"text": blank})
    documents, rejected, _ = read(write(tmp_path / "a.jsonl", line))
    assert documents == [("\u3000\u4e00\n\u4e8c\n\u4e09", 1)]
    assert [reason for reason, *_ in rejected] == ["empty_text"]


@pytest.mark.parametrize(
    "character", ["a", "\u00fc", "\u4e2d", "\U0001f600", "ab "]
)
@pytest.mark.parametrize("documents", ["line", "blank_line"])
def test_long_lines_come_in_parts_and_lose_nothing(
    tmp_path, monkeypatch, character, documents
):
    monkeypatch.setattr(files, "LINE_BYTES", 64)
    monkeypatch.setattr(files, "PART_BYTES", 200)
    line = character * 301
    path = write(tmp_path / "a.txt", f"{line}\n\nx\n")
    found, rejected, (source,) = read(path, documents=documents)
    assert found[-1] == ("x", 3)
    assert {number for _, number in found[:-1]} == {1}
    assert all(len(text.encode()) < 300 for text, _ in found)
    text = "".join(text for text, _ in found[:-1])
    assert text.replace("\n", "").replace(" ", "") == line.replace(" ", "")
    assert not rejected and source.documents == 2
    if character == "ab ":
        words = " ".join(text for text, _ in found[:-1]).split()
        assert set(words) == {"ab"}


def test_long_json_texts_come_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LINE_BYTES", 64)
    monkeypatch.setattr(files, "PART_BYTES", 100)
    text = "\u4e2d" * 200
    path = write(tmp_path / "a.jsonl", json.dumps({"text": text}))
    found, _, (source,) = read(path)
    assert "".join(text for text, _ in found) == text
    assert len(found) > 5 and source.documents == 1


def test_random_bytes_do_no_harm(tmp_path):
    data = os.urandom(300_000)
    path = write(tmp_path / "a.txt", data)
    _, rejected, _ = read(path, on_bad_text="skip")
    assert rejected and {entry[0] for entry in rejected} == {"bad_utf8"}
    documents, rejected, _ = read(path, on_bad_text="replace")
    assert documents and not rejected


@pytest.mark.parametrize("ending", [".gz", ".zst"])
@pytest.mark.parametrize("harm", ["cut", "flip"])
def test_damaged_compression_is_named(tmp_path, ending, harm):
    pack = gzip.compress
    if ending == ".zst":
        pack = zstandard.ZstdCompressor(write_checksum=True).compress
    data = bytearray(pack(os.urandom(5000).hex().encode()))
    if harm == "cut":
        data = data[: len(data) // 2]
    else:
        data[len(data) // 2] ^= 0xFF
    path = write(tmp_path / f"a.txt{ending}", bytes(data))
    with pytest.raises(UserError, match=f"a.txt{ending}.*damaged or cut off"):
        read(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match="gone.txt cannot be read"):
        read(tmp_path / "gone.txt")


def test_a_file_that_changes_is_named(tmp_path):
    path = write(tmp_path / "a.txt", PROSE)
    corpus = Corpus([str(path)], Reading(), lambda *entry: None)
    documents = iter(corpus)
    next(documents)
    with path.open("a") as stream:
        stream.write("more\n")
    with pytest.raises(UserError, match="a.txt changed while it was read"):
        list(documents)


def test_find_files(tmp_path):
    below = tmp_path / "below" / "deep"
    below.mkdir(parents=True)
    names = ["a.txt", "b.txt.gz", "c.jsonl", "d.zst", "README.md"]
    for name in names:
        write(below / name, "x")
    write(tmp_path / "z.text", "x")
    (tmp_path / "link.txt").symlink_to(below / "a.txt")
    (below / "loop").symlink_to(tmp_path)
    three = [str(below / name) for name in names[:3]]
    assert files.find_files([str(tmp_path / "below")]) == three
    assert files.find_files([str(below / "*")]) == sorted(
        [str(below / name) for name in names]
    )
    assert files.find_files([str(tmp_path / "**/*.jsonl")]) == three[2:]
    assert files.find_files([str(tmp_path / "z.text"), three[0]]) == [
        three[0],
        str(tmp_path / "z.text"),
    ]
    both = [three[0], str(tmp_path / "link.txt")]
    assert len(files.find_files(both)) == 1


def test_names_that_stand_for_nothing_are_refused(tmp_path):
    for name in ("gone.txt", "*.txt", "."):
        where = str(tmp_path / name)
        with pytest.raises(UserError, match="no text found at"):
            files.find_files([where])


def test_the_standard_input_is_read(tmp_path, monkeypatch):
    write(tmp_path / "a.txt", PROSE)
    with (tmp_path / "a.txt").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert files.find_files(["-"]) == ["-"]
        rejected = []
        corpus = Corpus(["-"], Reading(), rejected.append)
        assert [d.text for d in corpus] == [b"One.\nTwo two.", b"Three."]
    assert corpus.total_bytes == 0 and corpus.bytes_read == len(PROSE)


def test_a_pipe_is_read():
    data = (PROSE * 20_000).encode()
    end, start = os.pipe()

    def fill():
        with os.fdopen(start, "wb") as stream:
            stream.write(data)

    writer = threading.Thread(target=fill)
    writer.start()
    corpus = Corpus([f"/dev/fd/{end}"], Reading(), lambda *entry: None)
    # The last line of one copy and the first of the next are one document.
    assert sum(1 for _ in corpus) == 20_001
    assert corpus.sources[0].lines == 120_000
    writer.join()
    os.close(end)


def test_the_first_part_that_is_kept_is_part_0(tmp_path, monkeypatch):
    """A document's first part says on which side of a hold-out it goes."""
    monkeypatch.setattr(files, "LINE_BYTES", 100)
    path = write(tmp_path / "a.txt", b"one\n" + b"\xff" * 100 + b"x " * 80)
    corpus = Corpus([str(path)], Reading("line", "text", "skip"), lambda *_: 0)
    parts = [(d.line, d.part) for d in corpus]
    assert parts[:2] == [(1, 0), (2, 0)] and parts[-1][1] == len(parts) - 2
    assert corpus.sources[0].documents == 2
