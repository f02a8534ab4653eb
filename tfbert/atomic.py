"""Files and folders that appear whole or not at all.

Everything is written under a temporary name beside its target, synced to
disk, renamed, and the folder that holds the name is synced last. A crash at
any point leaves either the old content or the new, never a mixture.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

TEMPORARY_PREFIX = ".tmp-"


def write_file(path: str | os.PathLike, data: bytes | str) -> None:
    """Writes `data` (text is UTF-8) to `path`, replacing what was there."""
    path = Path(path)
    if isinstance(data, str):
        data = data.encode("utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(
        prefix=TEMPORARY_PREFIX, dir=path.parent
    )
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp gives 0600; a new file should follow the user's umask.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary folder that becomes `path` when the block ends.

    An exception inside the block removes the temporary folder and leaves
    `path` untouched.

    Raises:
      FileExistsError: `path` exists already.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists already")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=path.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        for directory, _, names in os.walk(temporary):
            for name in names:
                sync_file(os.path.join(directory, name))
            sync_folder(directory)
        os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(path.parent)


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
    """Removes what a killed writer left in `directory`; returns the paths."""
    left = sorted(Path(directory).glob(TEMPORARY_PREFIX + "*"))
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return left


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
