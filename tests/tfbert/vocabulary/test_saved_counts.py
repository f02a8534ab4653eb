import json

import pytest

from tfbert.errors import UserError
from tfbert.vocabulary import saved_counts, word_counts
from tfbert.vocabulary.saved_counts import SavedCounts
from tfbert.vocabulary.word_counts import WordCounts, count_words

TEXTS = [f"the cat {'ab'[i % 2]} end {i} a{i % 7}".encode() for i in range(40)]
WITH = {"lowercase": "True"}


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Texts are counted three at a time, and each time saved."""
    monkeypatch.setattr(word_counts, "_BATCH_BYTES", 45)
    monkeypatch.setattr(saved_counts, "SECONDS", 0.0)
    monkeypatch.setattr(saved_counts, "_SHARE", float("inf"))


def count(path, texts=TEXTS, most=100, made_with=WITH, taken=None):
    """The counts of texts; `taken` gets those that were cut into words."""

    def noted(found):
        for text in found:
            if taken is not None:
                taken.append(text)
            yield text

    with WordCounts(most) as counts:
        saved = SavedCounts(path, made_with, counts)
        left = noted(saved.left(iter(texts)))
        count_words(left, True, counts, saved.counted)
        return list(counts), counts.total


def killed(path, after, most=100):
    def texts():
        yield from TEXTS[:after]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        count(path, texts(), most)


@pytest.mark.parametrize("most", [5, 100])
def test_counts_go_on(tmp_path, most):
    path = tmp_path / "counts"
    wanted = count(tmp_path / "whole")
    for after in (10, 25, 26):
        killed(path, after, most)
    taken = []
    assert count(path, most=most, taken=taken) == wanted
    assert 0 < len(taken) <= 18 and taken[-1] == TEXTS[-1]
    # All were counted: nothing is left to do.
    again = []
    assert count(path, taken=again) == wanted and again == []


def test_what_is_counted_otherwise_is_refused(tmp_path):
    path = tmp_path / "counts"
    killed(path, 20)
    with pytest.raises(UserError, match="another lowercase: True, not False."):
        count(path, made_with={"lowercase": "False"})
    with pytest.raises(UserError, match="begun with other text. Give what it"):
        count(path, [b"another", *TEXTS])
    with pytest.raises(UserError, match="begun with more text"):
        count(path, TEXTS[:5])
    # What comes later may be otherwise.
    found, _ = count(path, [*TEXTS, b"more"])
    assert (b"more", 1) in found


def test_damage_is_told(tmp_path):
    path = tmp_path / "counts"
    killed(path, 20)
    whole = path.read_bytes()
    head, rest = whole.split(b"\n", 1)
    older = json.dumps(json.loads(head) | {"format": 0}).encode()
    for damage in (
        b"",
        b"[" * 99999,
        b"[]",
        older + b"\n" + rest,
        whole[:-5],
        whole.replace(b"\ncat ", b"\ncat 1"),
        whole.replace(b"\ncat ", b"\ncat x"),
        whole.replace(b"\ncat ", b"\n"),
    ):
        assert damage != whole
        path.write_bytes(damage)
        with pytest.raises(UserError, match="is damaged.*remove the file to"):
            count(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        count(path)


def test_a_full_disk_is_no_end(tmp_path, monkeypatch, caplog):
    wanted = count(tmp_path / "whole")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved_counts.os, "fsync", full)
    assert count(tmp_path / "counts") == wanted
    assert "No space left on device" in caplog.text


def test_the_files_go(tmp_path):
    with WordCounts() as counts:
        saved = SavedCounts(tmp_path / "counts", WITH, counts)
        count_words(saved.left(iter(TEXTS)), True, counts, saved.counted)
        assert (tmp_path / "counts").exists()
        saved.remove()
        saved.remove()
    assert list(tmp_path.iterdir()) == []
