"""Checking every byte of a folder of records, and naming what is wrong.

Where a record lies is arithmetic, so damage in one, its length included, says
nothing about the next: all that is wrong is found, and nothing else.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tfrecords.layout import (
    CHECKSUM_BYTES,
    LENGTH_BYTES,
    SHARD_GLOB,
    TOKEN_IDS,
    example_header,
)
from tfrecords.masking.token_classes import TokenClasses
from tfrecords.storage import checksum
from tfrecords.storage.manifest import Manifest, Shard
from tfrecords.storage.writer import file_sha256

# Records checked at once.
_BATCH = 1024


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something wrong.

    Attributes:
      file: the shard.
      problem: what is wrong with it.
      record: the record, or None where it is the whole file.
      offset: the record's first byte in the file.
      rows: how many rows are lost with it.
      to_end: the file ends inside the record, so that all behind it are lost.
    """

    file: str
    problem: str
    record: int | None = None
    offset: int | None = None
    rows: int = 0
    to_end: bool = False

    def __str__(self) -> str:
        if self.record is None:
            return f"{self.file}: {self.problem}"
        return (
            f"{self.file}, record {self.record}, byte {self.offset}: "
            f"{self.problem}"
        )


def verify(
    folder: str | os.PathLike,
    manifest: Manifest,
    classes: TokenClasses,
    progress: Callable[[int], None] | None = None,
) -> list[Fault]:
    """Checks the shards of a folder against its manifest.

    Args:
      folder: with the shards.
      manifest: what is in it.
      classes: of the vocabulary of the records.
      progress: called with the bytes of each shard that was checked.

    Returns:
      What is wrong, in the order of the shards; an empty list if nothing is.
    """
    folder = Path(folder)
    faults: list[Fault] = []
    layout = manifest.layout
    for shard in manifest.shards:
        faults += _check_shard(folder, layout, shard, classes)
        if progress:
            progress(shard.bytes)
    known = {shard.file for shard in manifest.shards}
    there = {path.name for path in folder.glob(SHARD_GLOB)}
    for name in sorted(there - known):
        faults.append(Fault(name, "is not in the manifest"))
    return faults


def _check_shard(folder, layout, shard: Shard, classes) -> list[Fault]:
    path = folder / shard.file
    if not path.exists():
        return [Fault(shard.file, "is missing", rows=shard.rows)]
    size = path.stat().st_size
    faults = []
    if size != shard.bytes:
        faults.append(
            Fault(
                shard.file,
                f"has {size} bytes, the manifest says {shard.bytes}",
            )
        )
    faults += _check_records(path, layout, shard, classes)
    if not faults and file_sha256(path) != shard.sha256:
        faults.append(
            Fault(
                shard.file,
                "is sound in itself but not the file that was built "
                "(another sha256)",
                rows=shard.rows,
            )
        )
    return faults


def _check_records(path, layout, shard, classes) -> Iterator[Fault]:
    full = layout.rows_per_record
    whole, rest = divmod(shard.rows, full)
    data = np.fromfile(path, np.uint8)
    size = layout.record_bytes(full)
    for first in range(0, whole, _BATCH):
        count = min(_BATCH, whole - first)
        part = data[first * size : (first + count) * size]
        yield from _check_equal(part, layout, full, first, size, path, classes)
        if len(part) < count * size:
            lost = first + len(part) // size
            there = len(part) % size
            left = shard.rows - lost * full
            yield _cut_off(path, lost, lost * size, there, size, left)
            return
    if rest:
        part = data[whole * size :]
        last = layout.record_bytes(rest)
        if len(part) < last:
            place = whole * size
            yield _cut_off(path, whole, place, len(part), last, rest)
            return
        part = part[:last]
        yield from _check_equal(part, layout, rest, whole, size, path, classes)


def _cut_off(path, record, offset, there, size, rows) -> Fault:
    return Fault(
        path.name,
        f"the file ends after {there} of the record's {size} bytes",
        record,
        offset,
        rows,
        to_end=True,
    )


def _check_equal(data, layout, rows, first, stride, path, classes):
    """Checks the whole records in `data`, each of `rows` rows.

    Args:
      data: uint8, records of one size one after the other.
      first: the number of the first one.
      stride: bytes from one record to the next in the file.
    """
    size = layout.record_bytes(rows)
    count = len(data) // size
    data = data[: count * size].reshape(count, size)
    length = size - LENGTH_BYTES - CHECKSUM_BYTES
    begin = layout.data_offset(rows)
    header = np.frombuffer(example_header(rows * layout.row_bytes), np.uint8)
    payload = data[:, begin : size - CHECKSUM_BYTES]
    ids = np.ascontiguousarray(payload).view(layout.dtype)
    ids = ids.reshape(count, rows, layout.row_width)
    tokens = ids[:, :, : layout.sequence_length]
    content = data[:, LENGTH_BYTES : size - CHECKSUM_BYTES]
    wrong = {
        "its length is not what it must be": (
            _numbers(data[:, :8], "<u8") != length
        ),
        "the checksum of its length is wrong": (
            _numbers(data[:, 8:12], "<u4")
            != checksum.masked(checksum.crc32c(data[:, :8]))
        ),
        "the checksum of its data is wrong": (
            _numbers(data[:, -4:], "<u4")
            != checksum.masked(checksum.crc32c(content))
        ),
        f"it is no Example of {TOKEN_IDS!r}": (
            (data[:, LENGTH_BYTES:begin] != header).any(axis=1)
        ),
        f"it holds token ids beyond the vocabulary of {classes.vocab_size}": (
            (tokens >= classes.vocab_size).any(axis=(1, 2))
        ),
        "it holds a row that does not begin with [CLS]": (
            (tokens[:, :, 0] != classes.cls_id).any(axis=1)
        ),
    }
    for place in np.flatnonzero(np.any(list(wrong.values()), axis=0)):
        # The first is the cause where there are several.
        problem = next(what for what, where in wrong.items() if where[place])
        number = first + int(place)
        yield Fault(path.name, problem, number, number * stride, rows)


def _numbers(data: np.ndarray, dtype: str) -> np.ndarray:
    """uint8 [N, bytes of dtype] -> [N]."""
    return np.ascontiguousarray(data).view(dtype)[:, 0]
