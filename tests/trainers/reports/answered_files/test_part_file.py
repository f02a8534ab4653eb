import errno
import json
import os

import pytest

from tfbert.errors import UserError
from trainers.reports.answered_files import part_file
from trainers.reports.answered_files.part_file import FullDisk, PartFile

WITH = {"export": "a", "batch_size": "4"}


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out.jsonl"


def test_appears_whole(output):
    part = PartFile(output, WITH)
    assert part.state == {}
    part.add(b"one\n", {"rows": 1})
    assert not output.exists()
    part.add(b"two\n", {"rows": 2})
    part.finish()
    assert output.read_bytes() == b"one\ntwo\n"
    assert os.listdir(output.parent) == ["out.jsonl"]
    assert part.state == {"rows": 2}


def test_goes_on_behind_what_is_certain(output):
    part = PartFile(output, WITH, clock=lambda: 0.0)
    part.add(b"one\n", {"rows": 1})
    part.keep()
    part.add(b"two, and half of th", {"rows": 2})
    part.close()  # Written, but nothing says so.
    assert part.path.read_bytes().startswith(b"one\ntwo")
    part = PartFile(output, WITH)
    assert part.state == {"rows": 1}
    part.add(b"2\n", {"rows": 2})
    part.finish()
    assert output.read_bytes() == b"one\n2\n"


def test_becomes_certain_now_and_then(output):
    now = 0.0
    part = PartFile(output, WITH, clock=lambda: now)
    for time, rows, certain in ((1.0, 1, 0), (2.5, 2, 2), (4.0, 3, 2)):
        now = time
        part.add(b"x", {"rows": rows})
        assert part.state.get("rows", 0) == certain
    part.close()


def test_a_slow_disk_is_waited_for_less_often(output, monkeypatch):
    now = 0.0

    def slow(_):
        nonlocal now
        now += 1.0

    part = PartFile(output, WITH, clock=lambda: now)
    monkeypatch.setattr(part_file.os, "fsync", slow)
    saved = []
    for row in range(300):
        now += 1.0
        part.add(b"x", {"rows": row})
        saved.append(part.state.get("rows"))
    assert len(set(saved)) < 5


def test_a_kill_between_the_name_and_the_end(output, monkeypatch):
    part = PartFile(output, WITH)
    part.add(b"all\n", {"rows": 1})

    def stop(_):
        if output.exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(part_file.files, "sync_folder", stop)
        with pytest.raises(KeyboardInterrupt):
            part.finish()
    part = PartFile(output, WITH)
    assert part.finished and part.state == {"rows": 1}
    assert os.listdir(output.parent) == ["out.jsonl"]


def test_what_is_there_is_kept(output):
    output.write_text("mine")
    with pytest.raises(UserError, match="out.jsonl exists already; remove it"):
        PartFile(output, WITH)
    output.rename(output.with_name("out.jsonl.part"))
    with pytest.raises(UserError, match="has no out.jsonl.part.json beside"):
        PartFile(output, WITH)
    assert output.with_name("out.jsonl.part").read_text() == "mine"


def begun(output):
    part = PartFile(output, WITH)
    part.add(b"one\n", {"rows": 1})
    part.keep()
    part.close()
    return part


def test_what_it_was_made_with_counts(output):
    begun(output)
    with pytest.raises(UserError, match="another batch_size: 4, not 5. Give"):
        PartFile(output, {**WITH, "batch_size": "5"})
    with pytest.raises(UserError, match="another header: None, not True. Giv"):
        PartFile(output, {**WITH, "header": "True"})
    assert PartFile(output, WITH).state == {"rows": 1}


def test_one_at_a_time(output):
    part = PartFile(output, WITH)
    with pytest.raises(UserError, match="is being written by another process"):
        PartFile(output, WITH)
    part.close()


@pytest.mark.parametrize("damage", [b"on", b"One\n"])
def test_a_damaged_part_is_told(output, damage):
    begun(output).path.write_bytes(damage)
    with pytest.raises(UserError, match="is damaged: it is not what was wri"):
        PartFile(output, WITH)


@pytest.mark.parametrize("damage", ["{", "[]", '{"format": 0}', "[" * 99999])
def test_a_damaged_journal_is_told(output, damage):
    begun(output)
    journal = output.with_name("out.jsonl.part.json")
    journal.write_text(damage)
    with pytest.raises(UserError, match="json is damaged, or of another vers"):
        PartFile(output, WITH)
    journal.write_text(json.dumps({"format": 1, "bytes": "4"}))
    with pytest.raises(UserError, match="is damaged"):
        PartFile(output, WITH)


def test_a_full_disk(output, monkeypatch):
    now = 0.0
    part = PartFile(output, WITH, clock=lambda: now)
    now = 9.0

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(part_file.os, "fsync", full)
        with pytest.raises(FullDisk, match="No space left on device. What was"):
            part.add(b"one\n", {"rows": 1})
        with pytest.raises(FullDisk):
            part.keep()
    part.close()
    part = PartFile(output, WITH)
    assert part.state == {}
    assert FullDisk.status == 4


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file, and a folder was wanted"):
        PartFile(tmp_path / "file" / "out.csv", WITH)
