"""A file that is made piece by piece, over several starts, and appears whole.

OUTPUT.part holds what is made so far, and OUTPUT.part.json of which of its
bytes that is certain, what they were made with and where to go on. A kill at
any point leaves both in a state from which the next start goes on; what it
finds behind the certain bytes it drops.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tfbert import files
from tfbert.errors import UserError
from trainers.files import exit_status

# Seconds between two times at which what is made becomes certain; more where
# the disk is slow, so that this takes no more than a share of the time.
SECONDS = 2.0
_SHARE = 1 / 40
_FORMAT = 1


class FullDisk(UserError):
    """What is made cannot be written; what was made is kept."""

    status = exit_status.CANNOT_WRITE


class PartFile:
    """OUTPUT.part and its journal, while somebody adds to them.

    Args:
      output: the file that is to appear.
      made_with: name -> what it is made with, in words; on going on, all have
        to be equal.
      clock: gives seconds; monotonic.

    Attributes:
      state: what was handed to `add` with the last bytes that are certain;
        {} at the beginning.
      finished: whether there is nothing left to do: an earlier start was
        killed when all was made.

    Raises:
      UserError: there is an output, or a part that was made with something
        else, or by another process, or is damaged.
    """

    def __init__(
        self,
        output: Path,
        made_with: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ):
        self.output = output
        self.path = output.with_name(output.name + ".part")
        self._journal = output.with_name(output.name + ".part.json")
        self._made_with = dict(made_with)
        self._clock = clock
        self._saved_at = clock()
        self._pause = SECONDS
        self.state: dict = {}
        self._next_state: dict = {}
        self.finished = False
        self._bytes, self._digest = 0, hashlib.sha256()
        files.check_folder(output.parent)
        with self._full_disk_told():
            self._open()

    def add(self, data: bytes, state: Mapping) -> None:
        """Writes on; `state` is to be known once these bytes are certain.

        Raises:
          FullDisk: it cannot be written.
        """
        with self._full_disk_told():
            self._stream.write(data)
            self._bytes += len(data)
            self._digest.update(data)
            self._next_state = dict(state)
            if self._clock() - self._saved_at >= self._pause:
                self._save()

    def keep(self) -> None:
        """Makes all certain that was added.

        Raises:
          FullDisk: it cannot be written.
        """
        with self._full_disk_told():
            self._save()

    def finish(self) -> None:
        """Gives it its name.

        Raises:
          FullDisk: it cannot be written.
        """
        with self._full_disk_told():
            self._save(done=True)
            os.replace(self.path, self.output)
            files.sync_folder(self.output.parent)
            self._journal.unlink()
        self.close()

    def close(self) -> None:
        """Lets others go on; what is certain stays."""
        with contextlib.suppress(OSError):
            self._stream.close()

    def _open(self) -> None:
        journal = self._read_journal()
        if self.output.exists():
            size = self.output.stat().st_size
            if journal and journal["done"] and journal["bytes"] == size:
                self._compare(journal)
                self._journal.unlink()
                self.state, self.finished = journal["state"], True
                return
            raise UserError(
                f"{self.output} exists already; remove it, or name another "
                "--output."
            )
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._stream = os.fdopen(os.open(self.path, flags, 0o666), "r+b")
        try:
            self._lock()
            # Read again: another may have gone on in between.
            self._go_on(self._read_journal())
        except BaseException:
            self._stream.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{self.path} is being written by another process; wait for "
                "it, or name another --output."
            ) from None
        except OSError:
            pass  # Some file systems have no locks.

    def _go_on(self, journal: dict | None) -> None:
        size = os.fstat(self._stream.fileno()).st_size
        if journal is None:
            if size:
                raise UserError(
                    f"{self.path} has no {self._journal.name} beside it that "
                    "says how it was made; remove it, or name another --output."
                )
            self._save()
            return
        self._compare(journal)
        left = journal["bytes"]
        while left and (data := self._stream.read(min(left, 1 << 20))):
            self._digest.update(data)
            left -= len(data)
        if left or self._digest.hexdigest() != journal["sha256"]:
            raise self._unusable("is damaged: it is not what was written")
        self._bytes = journal["bytes"]
        self._stream.truncate(self._bytes)
        self._stream.seek(self._bytes)
        self.state = self._next_state = journal["state"]

    def _compare(self, journal: dict) -> None:
        """Refuses a part that was made with something else."""
        before = journal["made_with"]
        for name in sorted(before.keys() | self._made_with.keys()):
            old, new = before.get(name), self._made_with.get(name)
            if old != new:
                raise self._unusable(
                    f"was begun with another {name}: {old}, not {new}"
                )

    def unusable_input(self, what: str) -> UserError:
        """That the input is not the one it was begun with."""
        return self._unusable(f"was begun with another input: {what}")

    def _unusable(self, why: str) -> UserError:
        return UserError(
            f"{self.path} {why}. Give what it was begun with, and it goes on; "
            f"or remove {self.path.name} and {self._journal.name} to begin "
            "anew."
        )

    def _read_journal(self) -> dict | None:
        try:
            journal = json.loads(self._journal.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError):
            journal = None
        kinds = {"bytes": int, "sha256": str, "made_with": dict, "state": dict}
        if (
            not isinstance(journal, dict)
            or journal.get("format") != _FORMAT
            or not all(isinstance(journal.get(k), t) for k, t in kinds.items())
        ):
            raise UserError(
                f"{self._journal} is damaged, or of another version; remove "
                f"it and {self.path.name} to begin anew."
            )
        return journal

    def _save(self, done: bool = False) -> None:
        begun = self._clock()
        self._stream.flush()
        os.fsync(self._stream.fileno())
        journal = {
            "format": _FORMAT,
            "made_with": self._made_with,
            "bytes": self._bytes,
            "sha256": self._digest.hexdigest(),
            "done": done,
            "state": self._next_state,
        }
        files.write_file(self._journal, json.dumps(journal, indent=2) + "\n")
        self.state = self._next_state
        self._saved_at = self._clock()
        self._pause = max(SECONDS, (self._saved_at - begun) / _SHARE)

    @contextlib.contextmanager
    def _full_disk_told(self):
        try:
            yield
        except OSError as error:
            raise FullDisk(
                f"{self.path} cannot be written: {error.strerror or error}. "
                "What was made is kept: make room, and give the same command "
                "again."
            ) from error
