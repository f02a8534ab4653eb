"""Whole or not at all: where folders cannot be renamed, by whom it is left."""

import errno
import os
import shutil
import signal
import stat
import threading

import pytest

from tfbert import files
from tfbert.errors import UserError

REFUSALS = [errno.EMFILE, errno.EPERM, errno.EXDEV, errno.ENOTSUP, errno.EIO]


def refuse_folders(monkeypatch, number=errno.EMFILE):
    """Mounted buckets rename files but no folders."""
    rename, replace = os.rename, os.replace

    def refusing(original):
        def renamed(source, target, **options):
            if os.path.isdir(source):
                raise OSError(number, os.strerror(number), str(source))
            return original(source, target, **options)

        return renamed

    monkeypatch.setattr(os, "rename", refusing(rename))
    monkeypatch.setattr(os, "replace", refusing(replace))


def fill(folder):
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "deep").write_text("deep")
    (folder / "checkpoint.json").write_text("{}")
    (folder / "weights").write_text("w")


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


WHOLE = {"a/b/deep": "deep", "checkpoint.json": "{}", "weights": "w"}


@pytest.mark.parametrize("number", REFUSALS)
def test_a_folder_appears_where_folders_cannot_be_renamed(
    number, tmp_path, monkeypatch
):
    refuse_folders(monkeypatch, number)
    with files.folder(tmp_path / "step-1") as folder:
        fill(folder)
    assert content(tmp_path / "step-1") == WHOLE
    assert os.listdir(tmp_path) == ["step-1"]
    assert files.is_whole(tmp_path / "step-1")


@pytest.mark.parametrize("moves", range(4))
def test_a_kill_between_two_moves_leaves_no_whole_folder(
    moves, tmp_path, monkeypatch
):
    refuse_folders(monkeypatch)
    pid = os.fork()
    if pid == 0:
        left, replace = [moves], os.replace

        def dying(source, target):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            replace(source, target)

        os.replace = dying
        unlink = files.Path.unlink
        files.Path.unlink = lambda self: (
            os.kill(os.getpid(), signal.SIGKILL) if moves == 3 else unlink(self)
        )
        with files.folder(tmp_path / "step-1") as folder:
            fill(folder)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert not files.is_whole(tmp_path / "step-1")
    # What tells that a checkpoint is there comes last.
    there = content(tmp_path / "step-1")
    assert ("checkpoint.json" in there) == (moves == 3)
    # The same writer begins anew; a start removes it.
    kept = tmp_path / "copy"
    shutil.copytree(tmp_path, kept, dirs_exist_ok=True)
    files.remove_temporaries(kept)
    assert os.listdir(kept) == []
    shutil.rmtree(kept)
    with files.folder(tmp_path / "step-1") as folder:
        fill(folder)
    assert content(tmp_path / "step-1") == WHOLE
    assert os.listdir(tmp_path) == ["step-1"]


def test_where_files_cannot_be_moved_either_nothing_is_left(
    tmp_path, monkeypatch
):
    def refused(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "rename", refused)
    monkeypatch.setattr(os, "replace", refused)
    with (
        pytest.raises(OSError, match="Read-only"),
        files.folder(tmp_path / "step-1") as folder,
    ):
        fill(folder)
    assert os.listdir(tmp_path) == []


def test_a_whole_folder_is_not_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    with (
        pytest.raises(FileExistsError, match="exists already"),
        files.folder(tmp_path / "there"),
    ):
        pass
    assert os.listdir(tmp_path) == ["there"]


@pytest.mark.parametrize("renames", [True, False])
def test_a_removed_folder_is_gone(renames, tmp_path, monkeypatch):
    if not renames:
        refuse_folders(monkeypatch)
    (tmp_path / "old").mkdir()
    fill(tmp_path / "old")
    files.remove_folder(tmp_path / "old")
    assert os.listdir(tmp_path) == []


def test_a_writer_removes_what_a_killed_one_of_its_target_left(tmp_path):
    pid = os.fork()
    if pid == 0:
        with files.folder(tmp_path / "target") as folder:
            fill(folder)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    (left,) = tmp_path.iterdir()
    # Of others, who may be at work, nothing is touched.
    (tmp_path / ".tmp-of-another-program").touch()
    with files.folder(tmp_path / "other"):
        assert left.exists()
        with files.folder(tmp_path / "target") as folder:
            fill(folder)
    names = {".tmp-of-another-program", "other", "target"}
    assert set(os.listdir(tmp_path)) == names


def test_what_is_being_written_is_not_left_over(tmp_path):
    with files.folder(tmp_path / "target") as folder:
        fill(folder)
        assert files.remove_temporaries(tmp_path) == []
        (tmp_path / ".tmp-old").mkdir()
        assert files.remove_temporaries(tmp_path) == [tmp_path / ".tmp-old"]
    assert content(tmp_path / "target") == WHOLE


def test_new_files_follow_the_umask_and_nobody_touches_it(
    tmp_path, monkeypatch
):
    before = os.umask(0o027)
    try:
        monkeypatch.setattr(os, "umask", None)
        files.write_file(tmp_path / "file", "x")
        with files.folder(tmp_path / "folder") as folder:
            fill(folder)
    finally:
        monkeypatch.undo()
        os.umask(before)
    modes = [
        stat.S_IMODE((tmp_path / name).stat().st_mode)
        for name in ("file", "folder", "folder/weights")
    ]
    assert modes == [0o640, 0o750, 0o640]


def test_threads_that_write_leave_the_umask_alone(tmp_path):
    before = os.umask(0o077)
    try:
        writers = [
            threading.Thread(
                target=lambda n=n: [
                    files.write_file(tmp_path / f"{n}", b"x")
                    for _ in range(100)
                ]
            )
            for n in range(2)
        ]
        for writer in writers:
            writer.start()
        for number in range(200):
            (tmp_path / f"other{number}").touch()
        for writer in writers:
            writer.join()
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert modes == {0o600}


def test_folders_that_cannot_be_written_are_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "a" / "b"):
        with pytest.raises(UserError, match="file is a file, and a folder"):
            files.check_folder(path)
    monkeypatch.chdir(tmp_path)
    files.check_folder("new/er")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    with pytest.raises(UserError, match="no file can be made in .*Permission"):
        files.check_folder("new/er")
