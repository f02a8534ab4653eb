"""Files behind `tf.io.gfile`: gs://, hdfs:// and whatever else it opens.

Text is read as it streams in. Records are memory-mapped, so a folder of
records is copied to a cache on this machine first; TFBERT_CACHE names it.
"""

import hashlib
import io
import os
import uuid
from pathlib import Path

from tfbert.errors import UserError
from tfbert.files import TEMPORARY_PREFIX
from tfrecords import layout

CACHE_VARIABLE = "TFBERT_CACHE"
_DEFAULT_CACHE = "~/.cache/tfbert"


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path names a file system of `tf.io.gfile`'s."""
    return "://" in str(path)


def _gfile():
    # TensorFlow starts slowly: only where it is needed.
    import tensorflow as tf

    return tf.io.gfile


def _reason(error) -> str:
    """What TensorFlow says, which for some file systems is nothing."""
    return error.message or type(error).__name__


def find(name: str) -> tuple[list[str], list[str]]:
    """What a path, folder or pattern names: files, and files of folders.

    Raises:
      UserError: the file system cannot be read.
    """
    import tensorflow as tf

    gfile = tf.io.gfile
    try:
        if gfile.isdir(name):
            return [], _below(name)
        if gfile.exists(name):
            return [name], []
        files, below = [], []
        for path in sorted(gfile.glob(name)):
            if gfile.isdir(path):
                below += _below(path)
            else:
                files.append(path)
        return files, below
    except tf.errors.NotFoundError:
        return [], []
    except tf.errors.OpError as error:
        raise UserError(f"{name} cannot be read: {_reason(error)}.") from None


def _below(folder: str) -> list[str]:
    found = []
    for where, _, names in _gfile().walk(folder):
        found += [f"{where.rstrip('/')}/{name}" for name in names]
    return sorted(found)


class RemoteError(OSError):
    """What a file system behind `tf.io.gfile` says."""


def size(path: str) -> int:
    """Bytes of a file. Raises RemoteError."""
    return state(path)[0]


def state(path: str) -> tuple[int, int]:
    """(size, time of change) of a file. Raises RemoteError."""
    import tensorflow as tf

    try:
        facts = tf.io.gfile.stat(path)
    except tf.errors.OpError as error:
        raise RemoteError(_reason(error)) from None
    return facts.length, facts.mtime_nsec


class Stream(io.RawIOBase):
    """A file's bytes. Errors are those of a file on this machine."""

    def __init__(self, path: str):
        self._file = _gfile().GFile(path, "rb")

    def read(self, count: int = -1) -> bytes:
        """Raises RemoteError where the file cannot be read."""
        import tensorflow as tf

        try:
            return self._file.read(max(count, -1))
        except tf.errors.OpError as error:
            raise RemoteError(_reason(error)) from None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            offset += self._file.size()
        elif whence == os.SEEK_CUR:
            offset += self.tell()
        self._file.seek(offset)
        return offset

    def close(self) -> None:
        self._file.close()
        super().close()


def local(path: str | os.PathLike) -> Path:
    """A folder on this machine with the content of `path`.

    A folder on this machine is itself. Of others a copy is made, unless the
    cache has one of the same names, sizes, times and manifest.

    Raises:
      UserError: it cannot be read.
    """
    if not is_remote(path):
        return Path(path)
    import tensorflow as tf

    url = str(path).rstrip("/")
    try:
        names = [name[len(url) + 1 :] for name in _below(url)]
        if not names:
            _gfile().listdir(url)  # Tells why, if there is a reason.
            raise UserError(f"no records in {url}: it is empty.")
        _refuse_ways_out(url, names)
        folder = _cache(url, names)
        for name in names:
            _copy(f"{url}/{name}", folder / name)
    except tf.errors.OpError as error:
        raise UserError(f"{url} cannot be read: {_reason(error)}.") from None
    except RemoteError as error:
        raise UserError(f"{url} cannot be read: {error}.") from None
    except OSError as error:
        raise UserError(
            f"{url} cannot be copied to this machine: {error}. "
            f"{CACHE_VARIABLE} names another folder for copies."
        ) from None
    return folder


def _refuse_ways_out(url: str, names: list[str]) -> None:
    """Raises UserError for names that would lead out of the copy."""
    for name in names:
        if {"", ".", ".."} & set(name.split("/")):
            raise UserError(
                f"{url} holds an object named {name!r}, which is no name of "
                "a file. Remove it, or name another folder."
            )


def _cache(url: str, names: list[str]) -> Path:
    """Where the copy of a folder is, or will be."""
    key = hashlib.sha256(url.encode())
    for name in names:
        key.update(f"\n{name} {state(f'{url}/{name}')}".encode())
        if os.path.basename(name) == layout.MANIFEST_FILE:
            key.update(Stream(f"{url}/{name}").read())
    root = Path(os.environ.get(CACHE_VARIABLE) or _DEFAULT_CACHE).expanduser()
    name = f"{url.rsplit('/', 1)[-1]}-{key.hexdigest()[:16]}"
    return root / "records" / name


def _copy(source: str, target: Path) -> None:
    """Copies a file, whole or not at all, unless it is there."""
    if target.exists() and target.stat().st_size == size(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # Machines and containers may share the cache, and have equal process ids.
    unique = f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    temporary = target.parent / unique
    try:
        _gfile().copy(source, str(temporary), overwrite=True)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
