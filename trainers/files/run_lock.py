"""One trainer for one run folder: RUN/lock.json.

The file names the process that trains, its host and its start. While it
trains, a thread touches the file every few seconds: the heartbeat. A second
trainer refuses. The lock of a trainer that was killed is taken over:

- on the same machine at once, as the process can be looked up;
- from another machine or container when the heartbeat has stood still for
  several beats. Nobody's clock is compared with another's.
"""

import contextlib
import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tfbert.errors import UserError
from tfbert.file_names import LOCK_FILE
from tfbert.files import TEMPORARY_PREFIX
from trainers.files import exit_status

# Seconds between heartbeats, and how long one is waited for.
BEAT = 5.0
PATIENCE = 20.0

# Lock files that this process holds, and those that it has watched in vain,
# with the beat that was their last.
_taking = threading.Lock()
_held: set[Path] = set()
_stale: dict[Path, int | None] = {}


class RunLock:
    """Holds a run folder while the context is open.

    Args:
      run_dir: an existing folder.
      enabled: False does nothing, as on workers that are not the chief.
      report: called with a message when a stale lock is taken over.
    """

    def __init__(
        self,
        run_dir: str | os.PathLike,
        enabled: bool = True,
        report: Callable[[str], None] = print,
    ):
        self.path = Path(run_dir).absolute() / LOCK_FILE
        self._enabled = enabled
        self._report = report
        self._mine = _this_process()
        self._done = threading.Event()
        self._lost = False

    def refuse_if_held(self) -> None:
        """Raises UserError if another trainer is at work in the folder.

        Raises:
          UserError: names its process and host.
        """
        if not self._enabled:
            return
        owner = self._owner()
        if owner is None:
            return
        if self._alive(owner):
            error = UserError(
                f"another trainer (process {owner.get('pid')} on "
                f"{owner.get('host')}, since {owner.get('started')}) is at "
                f"work in {self.path.parent}; wait for its end, stop it, or "
                "give another runtime.run_dir"
            )
            if owner.get("machine") != self._mine["machine"]:
                # A scheduler may have started us in the place of one that it
                # no longer reaches: it ends, or is taken over, later.
                error.status = exit_status.NOT_STARTED
            raise error

    def __enter__(self):
        if not self._enabled:
            return self
        with _taking, _alone_in(self.path.parent):
            while not self._take():
                # Another start was quicker; it is at work now.
                pass
            _held.add(self.path)
        self._beat = threading.Thread(target=self._keep_beating, daemon=True)
        self._beat.start()
        return self

    def __exit__(self, *_):
        if not self._enabled:
            return
        self._done.set()
        self._beat.join()
        _held.discard(self.path)
        if self._owner() == self._mine:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def check(self) -> None:
        """Raises UserError if another trainer has taken the folder over."""
        if self._lost:
            raise UserError(
                f"another trainer has taken over {self.path.parent}: this "
                "process had not been heard of (was it suspended?). It stops, "
                "so that two do not write one run"
            )

    def _take(self) -> bool:
        """Writes our lock where there is none, or a stale one.

        Returns:
          False where another process was quicker.

        Raises:
          UserError: another trainer is at work, or the lock cannot be written.
        """
        self.refuse_if_held()
        stale = self._owner()
        try:
            if stale is not None:
                if not self._set_aside(stale):
                    return False
                self._report(
                    f"taking over {self.path.parent} from process "
                    f"{stale.get('pid')} on {stale.get('host')}, which has "
                    "ended without giving it back"
                )
            return self._write_new()
        except OSError as error:
            raise UserError(
                f"cannot write {self.path}: {error.strerror}; a run needs a "
                "folder that it can write, with some space"
            ) from error

    def _set_aside(self, stale: dict) -> bool:
        """Removes the stale lock, and no other that has come meanwhile."""
        aside = self._temporary()
        try:
            os.rename(self.path, aside)
        except FileNotFoundError:
            return True
        found = _read_owner(aside)
        if found != stale:
            # That of a start between our look and our rename: back with it.
            with contextlib.suppress(FileExistsError):
                os.link(aside, self.path)
        aside.unlink()
        return found == stale

    def _write_new(self) -> bool:
        """Makes the lock file, with all that is in it, if there is none."""
        text = json.dumps(self._mine, indent=2) + "\n"
        temporary = self._temporary()
        temporary.write_text(text)
        try:
            os.link(temporary, self.path)
        except FileExistsError:
            return False
        except OSError:
            # A file system without links.
            try:
                with open(self.path, "x") as stream:
                    stream.write(text)
            except FileExistsError:
                return False
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
        return True

    def _temporary(self) -> Path:
        name = f"{TEMPORARY_PREFIX}lock-{secrets.token_hex(6)}"
        return self.path.with_name(name)

    def _owner(self) -> dict | None:
        """Who the lock file names; {} if it cannot be read, None if none."""
        return _read_owner(self.path)

    def _alive(self, owner: dict) -> bool:
        mine = self._mine
        here = ("machine", "namespace")
        if mine["machine"] and all(owner.get(k) == mine[k] for k in here):
            if (owner.get("pid"), owner.get("start")) == (
                mine["pid"],
                mine["start"],
            ):
                return self.path in _held
            start = _start_of(owner.get("pid"))
            return start is not None and start == owner.get("start")
        return self._beats()

    def _beats(self) -> bool:
        """Watches the file: whether somebody touches it within PATIENCE."""
        first = self._touched()
        if first is None or _stale.get(self.path) == first:
            return False
        self._report(
            f"{self.path} names a trainer on another machine; watching its "
            f"heartbeat for {PATIENCE:.0f} seconds"
        )
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            time.sleep(min(0.5, BEAT / 5))
            now = self._touched()
            if now is None:
                return False
            if now != first:
                return True
        _stale[self.path] = first
        return False

    def _touched(self) -> int | None:
        # Opened, since network file systems look anew only then.
        with contextlib.suppress(OSError), open(self.path, "rb") as stream:
            return os.fstat(stream.fileno()).st_mtime_ns
        return None

    def _keep_beating(self) -> None:
        while not self._done.wait(BEAT):
            owner = self._owner()
            if owner and owner != self._mine:
                self._lost = True
                return
            # A folder that has gone, or a full disk, is found when saving.
            with contextlib.suppress(OSError):
                os.utime(self.path)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Of the starts on one host, only one at a time looks and takes.

    Where a file system has no locks on folders, as network file systems, a
    stale lock may be taken over twice within milliseconds; then the later one
    has it, and the other learns it at its next heartbeat.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        # What is wrong is said when the lock is written.
        yield
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read_owner(path: Path) -> dict | None:
    try:
        owner = json.loads(path.read_text("utf-8"))
        return owner if isinstance(owner, dict) else {}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        return {}


def _this_process() -> dict:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        # Two runs of one process id differ in their start, two machines of
        # one name in this boot's id, two containers in their namespace.
        "start": _start_of(os.getpid()),
        "machine": _read("/proc/sys/kernel/random/boot_id"),
        "namespace": _namespace(),
    }


def _start_of(pid: int | None) -> str | None:
    """When a process began, in ticks since boot; None if there is none."""
    text = _read(f"/proc/{pid}/stat")
    # The name in brackets may hold spaces; the 22nd field is meant. A zombie
    # (state Z) trains no more.
    fields = text.rpartition(")")[2].split() if text else []
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else None


def _namespace() -> str | None:
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return None


def _read(path: str) -> str | None:
    with contextlib.suppress(OSError):
        return Path(path).read_text().strip()
    return None
