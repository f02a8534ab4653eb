"""TensorBoard's event files of a run that goes on from an earlier step.

The points after that step come again. TensorBoard's own means, a session's
start event, drops none that `tf.summary` has written (seen with TensorBoard
2.20 and 2.21), so they are taken out of the files.
"""

import os
import re
from pathlib import Path

import tensorflow as tf

from tfbert import files
from tfrecords.batches.options import with_options


def drop_events_after(folder: str | os.PathLike, step: int) -> int:
    """Takes events of later steps out of the event files in a folder.

    A file that a crash cut off keeps what is whole. Files are looked at from
    the newest to the first that has nothing to drop.

    Args:
      folder: with files events.out.tfevents.*, or none.
      step: the last one that stays.

    Returns:
      how many events were dropped.

    Raises:
      OSError: a file cannot be replaced.
    """
    dropped = 0
    found = Path(folder).glob("events.out.tfevents.*")
    for path in sorted(found, key=_age, reverse=True):
        events = list(_events(path))
        kept = [record for record, at in events if at <= step]
        if len(kept) < len(events):
            dropped += len(events) - len(kept)
            _replace(path, kept)
        # The first event of each file names its version, at step 0.
        elif len(events) > 1:
            break
    return dropped


def _age(path: Path) -> list[str | int]:
    """Orders files by the numbers in their names: seconds, process, count."""
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if part.isdecimal() else part for part in parts]


def _events(path: Path):
    """(record, its step) of the whole records of a file."""
    records = with_options(
        tf.data.TFRecordDataset(str(path))
    ).as_numpy_iterator()
    while True:
        try:
            record = next(records)
        except (StopIteration, tf.errors.DataLossError):
            return
        yield record, tf.compat.v1.Event.FromString(record).step


def _replace(path: Path, records: list[bytes]) -> None:
    temporary = path.with_name(f"{files.TEMPORARY_PREFIX}{path.name}")
    with tf.io.TFRecordWriter(str(temporary)) as writer:
        for record in records:
            writer.write(record)
    os.replace(temporary, path)
