"""Files and folders that appear whole or not at all.

Everything is written under a temporary name beside its target, synced to
disk, renamed, and the folder that holds the name is synced last. A crash at
any point leaves either the old content or the new, never a mixture.

Some file systems rename files but no folders (buckets that are mounted, such
as gcsfuse's by default). There a folder is filled file by file, and one more
file in it, INCOMPLETE, goes last: `is_whole` tells.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tfbert.errors import UserError
from tfbert.local_paths import local_path

TEMPORARY_PREFIX = ".tmp-"
# In a folder that is being filled or emptied.
INCOMPLETE = TEMPORARY_PREFIX + "incomplete"
# What servers look for in a folder; it is moved last.
_SIGNS = ("saved_model.pb", "checkpoint.json", "manifest.json")


def write_file(path: str | os.PathLike, data: bytes | str) -> None:
    """Writes `data` (text is UTF-8) to `path`, replacing what was there.

    Raises:
      UserError: `path` is no path of this machine.
    """
    path = local_path(path, "the name of a file")
    if isinstance(data, str):
        data = data.encode("utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    # Not tempfile's 0600: a new file follows the user's umask.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _lock(descriptor)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary folder that becomes `path` when the block ends.

    An exception inside the block removes the temporary folder and leaves
    `path` untouched. What a killed writer of `path` left is removed.

    Raises:
      FileExistsError: `path` exists already, whole.
      UserError: `path` is no path of this machine.
    """
    path = local_path(path, "the name of a folder")
    if path.exists():
        if is_whole(path):
            raise FileExistsError(f"{path} exists already")
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(path.parent.glob(_prefix(path) + "*"))
    temporary = _temporary(path)
    temporary.mkdir()
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        _lock(descriptor)
        yield temporary
        for directory, _, names in os.walk(temporary):
            for name in names:
                sync_file(os.path.join(directory, name))
            sync_folder(directory)
        move_folder(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def check_folder(path: str | os.PathLike) -> None:
    """Refuses a folder that cannot be made or written into.

    Raises:
      UserError: it or one above it is a file, or cannot be written.
    """
    path = Path(path)
    above = path, *path.absolute().parents
    there = next(folder for folder in above if os.path.exists(folder))
    if not there.is_dir():
        raise UserError(
            f"{path} cannot be written: {there} is a file, and a folder was "
            "wanted; name another one"
        )
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: no file can be made in {there} "
            f"({error.strerror}); name another folder"
        ) from error


def is_whole(path: str | os.PathLike) -> bool:
    """Whether a folder is neither being filled or emptied, nor left so."""
    return not os.path.lexists(os.path.join(path, INCOMPLETE))


def move_folder(source: Path, target: Path) -> None:
    """Renames a folder, or moves its files where folders cannot be renamed.

    Args:
      source: the folder.
      target: its new name, on the same file system; there is nothing, or an
        empty folder.

    Raises:
      OSError: neither can be done; `target` is not there.
    """
    try:
        os.rename(source, target)
        return
    except OSError:
        empty = target.is_dir() and not any(target.iterdir())
        if not source.is_dir() or os.path.lexists(target) and not empty:
            raise
    try:
        target.mkdir(exist_ok=True)
        mark = target / INCOMPLETE
        mark.touch()
        for name in sorted(_files(source), key=_comes_last):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(source / name, target / name)
        for directory, _, _ in os.walk(target):
            sync_folder(directory)
        mark.unlink()
        sync_folder(target)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    shutil.rmtree(source, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Removes a folder so that a kill leaves no half of it by its name."""
    leaving = path.with_name(TEMPORARY_PREFIX + path.name)
    try:
        os.rename(path, leaving)
    except OSError:
        (path / INCOMPLETE).touch()
        leaving = path
    shutil.rmtree(leaving, ignore_errors=True)


def _files(directory: Path) -> list[Path]:
    """All files below a folder, by their names relative to it."""
    return [
        Path(where, name).relative_to(directory)
        for where, _, names in os.walk(directory)
        for name in names
    ]


def _comes_last(name: Path) -> tuple[bool, Path]:
    return name.name in _SIGNS, name


def sync_file(path: str | os.PathLike) -> None:
    """Waits until the content of the file `path` is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# A folder is synced the same way: its content is the names that it holds.
sync_folder = sync_file


def remove_temporaries(directory: str | os.PathLike) -> list[Path]:
    """Removes what a killed writer left in `directory`; returns the paths.

    What another process is writing there stays.
    """
    directory = Path(directory)
    left = [path.parent for path in directory.glob("*/" + INCOMPLETE)]
    return _remove([*directory.glob(TEMPORARY_PREFIX + "*"), *left])


def _remove(paths: Iterable[Path]) -> list[Path]:
    left = sorted(path for path in paths if not _locked(path))
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    return left


def _prefix(path: Path) -> str:
    """How the temporary names of one target begin."""
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()
    return f"{TEMPORARY_PREFIX}{digest[:12]}-"


def _temporary(path: Path) -> Path:
    return path.with_name(_prefix(path) + secrets.token_hex(6))


def _lock(descriptor: int) -> None:
    """Held until the descriptor is closed, at the latest by the kernel."""
    # Some file systems have no locks.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _locked(path: Path) -> bool:
    """Whether a process holds the lock of a temporary file or folder."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
