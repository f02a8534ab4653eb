"""Builds that are ended at any chunk, and go on."""

import json

import numpy as np
import pytest

from tfbert.errors import UserError
from tfrecords.build import build, chunks, resuming
from tfrecords.build.build import BuildSettings, build_records, is_kept
from tfrecords.storage.writer import UNFINISHED_FILE

WORDS = "the sea was calm and ship sail wind north night old man saw".split()
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *WORDS]


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Small chunks, each of which is saved."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 8000)
    monkeypatch.setattr(resuming, "SECONDS", 0.0)


@pytest.fixture
def text(tmp_path):
    draw = np.random.default_rng(0)
    documents = [
        "\n".join(
            " ".join(draw.choice(WORDS, draw.integers(2, 20))) + "."
            for _ in range(draw.integers(1, 6))
        )
        for _ in range(600)
    ]
    # A copy, and one without a token.
    documents += [documents[3], "\u200b"]
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    (tmp_path / "text.txt").write_text("\n\n".join(documents))
    return tmp_path / "text.txt"


def settings(text, name="records", **more):
    return BuildSettings(
        **{
            "input": [str(text)],
            "vocab": str(text.parent / "vocab.txt"),
            "output": str(text.parent / name),
            "max_length": 16,
            "held_out": 0.2,
            "shard_rows": 32,
            "processes": 1,
            **more,
        }
    )


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


class Killed(BaseException):
    pass


def ended(monkeypatch, at, given):
    """Builds until so many chunks are taken, and writes a bit on."""
    take = build._Build.take

    def counted(self, result):
        nonlocal at
        if not at:
            for split in self._splits.values():
                split._writer.write(np.ones((50, split._layout.row_width)))
            raise Killed
        at -= 1
        take(self, result)

    with monkeypatch.context() as patch:
        patch.setattr(build._Build, "take", counted)
        with pytest.raises(Killed):
            build_records(given)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"objective": "next_sentence"},
        {"objective": "sentence_order", "max_length": 24},
        {"near_duplicates": 0.8, "held_out": 0.0},
    ],
)
def test_it_ends_with_the_same_bytes(text, monkeypatch, more, caplog):
    build_records(settings(text, "whole", **more))
    wanted = content(text.parent / "whole")
    given = settings(text, **more)
    for at in (1, 3, 2):
        ended(monkeypatch, at, given)
        assert is_kept(given.output) and not (text.parent / "records").exists()
    tokenized = []
    make = chunks.RowMaker.__call__

    def noted(self, chunk):
        tokenized.append(chunk.number)
        return make(self, chunk)

    monkeypatch.setattr(chunks.RowMaker, "__call__", noted)
    caplog.set_level("INFO")
    build_records(given)
    assert content(text.parent / "records") == wanted
    assert "Going on with what an earlier start has made" in caplog.text
    monkeypatch.undo()
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 8000)
    everything = []
    monkeypatch.setattr(
        chunks.RowMaker,
        "__call__",
        lambda self, chunk: everything.append(chunk) or make(self, chunk),
    )
    build_records(settings(text, "again", **more))
    # Six chunks were made before.
    assert len(tokenized) == len(everything) - 6
    assert not is_kept(given.output)


def test_processes_may_change(text, monkeypatch):
    build_records(settings(text, "whole"))
    ended(monkeypatch, 4, settings(text))
    build_records(settings(text, processes=2))
    whole = content(text.parent / "whole")
    assert content(text.parent / "records") == whole


def test_another_setting_or_text_is_refused(text, monkeypatch):
    ended(monkeypatch, 4, settings(text))
    kept = content(text.parent / ".building-records")
    refused = "begun with another max_length: 16, not 24. Give what it was be"
    with pytest.raises(UserError, match=refused):
        build_records(settings(text, max_length=24))
    vocab = text.parent / "vocab.txt"
    before = vocab.read_text()
    vocab.write_text(before + "more\n")
    with pytest.raises(UserError, match="begun with another vocabulary: "):
        build_records(settings(text))
    vocab.write_text(before)
    words = text.read_text()
    text.write_text("calm " + words)
    with pytest.raises(UserError, match="was begun with other text. Give "):
        build_records(settings(text))
    text.write_text("\n\n".join(words.split("\n\n")[:20]))
    with pytest.raises(UserError, match="was begun with (more|other) text"):
        build_records(settings(text))
    assert content(text.parent / ".building-records").keys() == kept.keys()
    text.write_text(words)
    build_records(settings(text))
    build_records(settings(text, "whole"))
    whole = content(text.parent / "whole")
    assert content(text.parent / "records") == whole


def test_what_was_made_and_is_gone_is_told(text, monkeypatch):
    ended(monkeypatch, 5, settings(text))
    staging = text.parent / ".building-records"
    shard = sorted(staging.glob("*.tfrecord"))[0]
    data = shard.read_bytes()
    shard.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UserError, match="not all of it is there .*is not wha"):
        build_records(settings(text))
    for damage in ("{", "[]", json.dumps({"format": 0})):
        (staging / UNFINISHED_FILE).write_text(damage)
        with pytest.raises(UserError, match="is damaged, or of another versi"):
            build_records(settings(text))


def test_a_line_that_is_mended_goes_on(text):
    """What stops a build stops it once."""
    good = text.read_bytes()
    text.write_bytes(good + b"\n\n\xff\n")
    with pytest.raises(UserError, match="is not UTF-8"):
        build_records(settings(text))
    assert is_kept(settings(text).output)
    text.write_bytes(good)
    build_records(settings(text))
    build_records(settings(text, "whole"))
    whole = content(text.parent / "whole")
    assert content(text.parent / "records") == whole


def test_pairs_that_are_gone_are_told(text, monkeypatch):
    given = settings(text, objective="next_sentence")
    ended(monkeypatch, 5, given)
    pairs = text.parent / ".building-records" / "pairs"
    pairs.write_bytes(pairs.read_bytes()[:10])
    with pytest.raises(UserError, match="pairs is shorter than what was made"):
        build_records(given)


def test_what_cannot_be_read_again_is_not_kept(text):
    assert resuming.can_go_on(settings(text), [str(text), "gs://a/b"])
    assert not resuming.can_go_on(settings(text), ["-"])
    beam = settings(text, runner="beam")
    assert not resuming.can_go_on(beam, [str(text)])
