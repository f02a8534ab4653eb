"""Who is lost, stalled or slow: pure functions of what all workers say."""

import dataclasses
import statistics
from collections.abc import Sequence

from trainers.distributed.worker_status import (
    CALLBACKS,
    ENDING,
    SAVING,
    WAITING,
)
from trainers.files import exit_status

# Where a worker may be for long after all have agreed to end.
_FINISHING = (CALLBACKS, SAVING, ENDING)

# Exit statuses; documented in docs/architecture.md. Trying again may help
# after both.
STOPPED = (130, 143)
ORDERLY = (0, *STOPPED)

# A process that is about to end by itself is given the time to ...
GRACE_SECONDS = 5.0
# ... and more of it where no worker waits for the one that has ended, as when
# all end for the same reason and the chief still writes.
LAST_SECONDS = 60.0
# Own work of a step, against the median of the other workers.
SLOW_FACTOR = 1.5
SLOW_SECONDS = 0.05


@dataclasses.dataclass
class Member:
    """What is known of one worker.

    Attributes:
      name: how messages call it.
      step: steps it has done; None before training.
      phase: what it does (see pulse.py), for `seconds`, which may be up to
        `limit`; None: no limit.
      own: median seconds of its own work in a step, without waiting.
      silent: seconds since it was last heard.
      gone: seconds since its connection ended; None: it is there.
      status: exit status that it said good-bye with; None: it did not.
      error: why it ends, if it said so.
    """

    name: str
    step: int | None = None
    phase: str = ""
    seconds: float = 0.0
    limit: float | None = None
    own: float | None = None
    silent: float = 0.0
    gone: float | None = None
    status: int | None = None
    error: str = ""

    @property
    def place(self) -> str:
        """Where in training it is or was."""
        if self.step is None:
            return "before the first step"
        if self.phase == ENDING:
            return f"after step {self.step}"
        return f"in step {self.step + 1}"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Why the run cannot go on.

    Attributes:
      text: names worker and step.
      status: exit status of every surviving worker.
      stalled: whether something hangs, so that stacks tell more.
    """

    text: str
    status: int = exit_status.LOST
    stalled: bool = False


def judge(members: Sequence[Member], stall_seconds: float) -> Verdict | None:
    """Returns why the run cannot go on, or None while it can.

    Args:
      members: all workers, this one included.
      stall_seconds: how long a worker may be silent.
    """
    for member in members:
        verdict = _ended(member, members) or _silent(member, stall_seconds)
        if verdict:
            return verdict
    stuck = [m for m in members if _over_limit(m) and m.phase != WAITING]
    if stuck:
        who = "; ".join(
            f"{m.name} is stalled {m.place}: {m.phase} for {m.seconds:.0f} s"
            for m in stuck
        )
        text = f"{who} ({describe(members)})"
        limits = [m.limit for m in stuck if m.phase == CALLBACKS]
        if limits:
            text += (
                f". Callbacks may take {limits[0]:.0f} s; for longer ones "
                "raise runtime.start_timeout"
            )
        return Verdict(text, stalled=True)
    return _all_wait(members)


def _ended(member: Member, members: Sequence[Member]) -> Verdict | None:
    grace = GRACE_SECONDS
    if member.status is not None and all(
        m.phase in _FINISHING for m in members if m.gone is None
    ):
        grace = LAST_SECONDS
    if member.gone is None or member.gone < grace:
        return None
    if member.status is None:
        return Verdict(
            f"{member.name} was lost {member.place}: its process ended without "
            "a word (killed, out of memory, or its host is down)"
        )
    if member.status in ORDERLY:
        return _left(member, members)
    user_error = member.status == exit_status.USER_ERROR
    return Verdict(
        f"{member.name} ended {member.place} with status {member.status}"
        + (f": {member.error}" if member.error else ""),
        exit_status.USER_ERROR if user_error else exit_status.LOST,
    )


def _left(member: Member, members: Sequence[Member]) -> Verdict | None:
    """Of one that ended in order: whether the others still need it."""
    here = [m for m in members if m.gone is None]
    if member.status in STOPPED:
        # All end together; where it left alone, they were not asked, as
        # before the first step.
        if all(m.phase in _FINISHING for m in here):
            return None
        return Verdict(
            f"{member.name} was told to stop {member.place} and has ended "
            f"(status {member.status}); so do all",
            member.status,
        )
    if not here or any(m.phase != WAITING for m in here):
        return None
    return Verdict(
        f"the run hangs: {member.name} ended {member.place} "
        f"({describe(members)})",
        stalled=True,
    )


def _silent(member: Member, stall_seconds: float) -> Verdict | None:
    if member.gone is not None or member.silent < stall_seconds:
        return None
    return Verdict(
        f"{member.name} is stalled {member.place}: no sign of life for "
        f"{member.silent:.0f} s (stopped, swapping, or its host or network is "
        "down)",
        stalled=True,
    )


def _over_limit(member: Member) -> bool:
    return (
        member.gone is None
        and member.limit is not None
        and member.seconds > member.limit
    )


def _all_wait(members: Sequence[Member]) -> Verdict | None:
    """All wait: nobody will come."""
    here = [member for member in members if member.gone is None]
    if not here or any(m.phase != WAITING for m in here):
        return None
    if not all(_over_limit(member) for member in here):
        return None
    return Verdict(
        "the run hangs: all workers have come to the same collective and it "
        "does not end: can they reach each other at TF_CONFIG's addresses? "
        f"({describe(members)})",
        stalled=True,
    )


def describe(members: Sequence[Member]) -> str:
    """One phrase about every worker."""
    return "; ".join(
        f"{m.name}: ended"
        if m.gone is not None
        else f"{m.name}: {m.place}, {m.phase} for {m.seconds:.0f} s"
        for m in members
    )


def stragglers(members: Sequence[Member]) -> str | None:
    """A line about workers that all others wait for, with everyone's time.

    Args:
      members: all workers; only those with a known time of own work count.
    """
    known = [m for m in members if m.own is not None and m.gone is None]
    slow = []
    for member in known:
        others = [m.own for m in known if m is not member]
        if not others:
            return None
        usual = statistics.median(others)
        if member.own > max(SLOW_FACTOR * usual, usual + SLOW_SECONDS):
            slow.append(member)
    if not slow:
        return None
    times = ", ".join(f"{m.name} {m.own:.3f} s" for m in known)
    verb = "is" if len(slow) == 1 else "are"
    return (
        f"{' and '.join(m.name for m in slow)} {verb} slow, and all wait for "
        f"it at step {slow[0].step}; own work of a step: {times}"
    )
