"""Writing rows to shards, and a folder that appears whole or not at all."""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfbert import files
from tfbert.errors import UserError
from tfrecords.layout import SHARD_PATTERN, Layout, example_header
from tfrecords.storage import checksum
from tfrecords.storage.manifest import Shard
from tfrecords.text import remote

# In a folder that is being made: of what of it is certain.
UNFINISHED_FILE = "unfinished.json"

_READ_BYTES = 1 << 20


class ShardWriter:
    """Writes rows, in the order given, to the shards of one folder.

    The shards depend on the rows alone, not on how they are handed over.
    """

    def __init__(self, folder: Path, layout: Layout, rows_per_shard: int):
        """`rows_per_shard` is rounded up to whole records."""
        self._folder = folder
        self._layout = layout
        records = -(-rows_per_shard // layout.rows_per_record)
        self._rows_per_shard = records * layout.rows_per_record
        self._pending = np.zeros((0, layout.row_width), layout.dtype)
        self._writer = None
        self._rows = 0
        self._path = folder
        self.shards: list[Shard] = []

    def state(self) -> dict:
        """What is on the disk, for `go_on`, as JSON has it.

        Raises:
          OSError: it does not get there.
        """
        size = 0
        if self._writer is not None:
            self._writer.flush()
            os.fsync(self._writer.fileno())
            size = self._path.stat().st_size
        return {
            "shards": [dataclasses.asdict(shard) for shard in self.shards],
            "rows": self._rows,
            "bytes": size,
            "pending": self._pending.tolist(),
        }

    def go_on(self, state: dict) -> None:
        """Goes on where a writer of this folder was, with its `state`.

        Raises:
          OSError, ValueError: what it had written is not there.
        """
        shards = [Shard(**shard) for shard in state["shards"]]
        for shard in shards:
            path = self._folder / shard.file
            if file_sha256(path) != shard.sha256:
                raise ValueError(f"{path} is not what was written")
        self.shards = shards
        if state["bytes"]:
            self._path = self._folder / SHARD_PATTERN.format(len(shards))
            if self._path.stat().st_size < state["bytes"]:
                raise ValueError(f"{self._path} is shorter than what was made")
            self._writer = open(self._path, "r+b")
            self._writer.truncate(state["bytes"])
            self._writer.seek(0, os.SEEK_END)
        self._rows = state["rows"]
        pending = np.array(state["pending"], self._layout.dtype)
        self._pending = pending.reshape(-1, self._layout.row_width)

    def write(self, rows: np.ndarray) -> None:
        """Adds whole numbers [N, row_width]; keeps back less than a record.

        Raises:
          OSError: they cannot be written, for want of room for instance.
        """
        rows = np.concatenate([self._pending, rows.astype(self._layout.dtype)])
        full = self._layout.rows_per_record
        whole = len(rows) - len(rows) % full
        for start in range(0, whole, full):
            self._write_record(rows[start : start + full])
        self._pending = rows[whole:]

    def close(self) -> list[Shard]:
        """Writes what is left; returns the shards."""
        if len(self._pending):
            self._write_record(self._pending)
            self._pending = self._pending[:0]
        self._close_shard()
        return self.shards

    def _write_record(self, rows: np.ndarray) -> None:
        if self._writer is None:
            name = SHARD_PATTERN.format(len(self.shards))
            self._path = self._folder / name
            self._writer = open(self._path, "wb")
        data = rows.tobytes()
        self._writer.write(checksum.frame(example_header(len(data)), data))
        self._rows += len(rows)
        if self._rows >= self._rows_per_shard:
            self._close_shard()

    def _close_shard(self) -> None:
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        writer.flush()
        os.fsync(writer.fileno())
        writer.close()
        self.shards.append(
            Shard(
                file=self._path.name,
                rows=self._rows,
                records=self._layout.num_records(self._rows),
                bytes=self._path.stat().st_size,
                sha256=file_sha256(self._path),
            )
        )
        self._rows = 0


def file_sha256(path: str | os.PathLike) -> str:
    """The sha256 of a file's content, hex, in constant memory."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def staged_folder(
    output: str | os.PathLike, can_go_on: bool = False
) -> Iterator[Path]:
    """Yields a folder beside `output` that becomes it when the block ends.

    The folder's name is fixed and the folder is locked while it is written:
    what a killed build left there is removed and built anew, and of two
    builds at once the second is refused. An exception removes it.

    Args:
      output: its name when it is whole.
      can_go_on: whether a folder that holds UNFINISHED_FILE stays after a
        kill or an exception, and is handed out as it is.

    Raises:
      UserError: `output` holds something already, or another process is
        writing it.
    """
    if remote.is_remote(output):
        raise UserError(
            f"output {output}: records are built in a folder of this machine; "
            "name one, and copy it there afterwards."
        )
    output = Path(output)
    _refuse_used(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    staging = staging_of(output)
    lock = _open_staging(staging)
    try:
        _lock(lock, staging, output)
        _refuse_used(output)
        unfinished = staging / UNFINISHED_FILE
        links = any(path.is_symlink() for path in staging.rglob("*"))
        if links or not (can_go_on and unfinished.is_file()):
            _empty(staging)
        try:
            yield staging
            for folder, _, names in os.walk(staging):
                for name in names:
                    files.sync_file(os.path.join(folder, name))
                files.sync_folder(folder)
            unfinished.unlink(missing_ok=True)
            # An empty folder of that name is replaced.
            files.move_folder(staging, output)
        except BaseException:
            if not (can_go_on and unfinished.is_file()):
                shutil.rmtree(staging, ignore_errors=True)
            raise
        files.sync_folder(output.parent)
    finally:
        os.close(lock)


def staging_of(output: str | os.PathLike) -> Path:
    """The folder that becomes `output`."""
    output = Path(output)
    return output.parent / f".building-{output.name}"


def _open_staging(staging: Path) -> int:
    """Opens the folder, made if need be; never what a link points to."""
    with contextlib.suppress(FileExistsError):
        staging.mkdir()
    try:
        return os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise UserError(
            f"{staging} is a link or a file, where the records are to be "
            "written until they are whole. Remove it, or name another "
            "--output."
        ) from None


def _refuse_used(output: Path) -> None:
    if output.is_symlink():
        raise UserError(
            f"output folder in use: {output} is a link. Name the folder that "
            "it points to, or another --output."
        )
    if output.is_dir() and not any(output.iterdir()):
        return
    if output.is_dir() and not files.is_whole(output):
        # A build was killed where folders cannot be renamed.
        _empty(output)
        return
    if output.exists():
        raise UserError(
            f"output folder in use: {output} exists already, and nothing is "
            "overwritten. Name another --output, or remove it first."
        )


def _lock(descriptor: int, staging: Path, output: Path) -> None:
    busy = UserError(
        f"output folder in use: another process is writing {output} at this "
        "moment. Wait for it, or name another --output."
    )
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise busy from None
    # Between our mkdir and our lock another build may have finished and
    # renamed the very folder that we hold open.
    held = os.fstat(descriptor)
    try:
        there = os.lstat(staging)
    except FileNotFoundError:
        raise busy from None
    if (held.st_ino, held.st_dev) != (there.st_ino, there.st_dev):
        raise busy


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
