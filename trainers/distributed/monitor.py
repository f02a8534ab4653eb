"""A thread that hears from all workers, and ends the process when one is lost.

A collective whose peer is gone waits in C++, where neither signals nor
exceptions of ours get through. So a thread beside the training one exchanges
pulses (see pulse.py) over TCP, once a second: every worker with the chief,
which judges all of them; the others judge the chief. Whoever finds that the
run cannot go on tells the others, prints why, dumps its stacks if something
hangs, and leaves by os._exit: nothing else ends a process whose main thread
never returns. Nothing is lost by it: a checkpoint is on the disk or it is not.
"""

import atexit
import collections
import contextlib
import faulthandler
import os
import select
import sys
import threading
import time
import traceback
from collections.abc import Callable

from tfbert.errors import UserError
from trainers.distributed import failure_detector
from trainers.distributed.agreement import differences
from trainers.distributed.failure_detector import Member, Verdict
from trainers.distributed.members import Cluster
from trainers.distributed.wire import Connection
from trainers.distributed.worker_status import ENDING, Pulse
from trainers.files import exit_status

PULSE_SECONDS = 1.0
# When this thread itself was not run for so long, the whole process was
# stopped or starved, and the silence of others is no sign.
PAUSE_SECONDS = 5.0
SLOW_REPORT_SECONDS = 60.0
# What the thread survives. SystemExit: rich's when nobody reads our output.
SURVIVED = (Exception, SystemExit)


class Disagreement(UserError):
    """Workers differ in what has to be the same on all."""


def leave(verdict: Verdict) -> None:
    """Prints the verdict, and ends the process without waiting for anyone."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    stream = sys.__stderr__ or sys.stderr
    with contextlib.suppress(OSError, ValueError):
        print(f"\nerror: {verdict.text}", file=stream)
        if verdict.status == exit_status.LOST:
            print(
                "All workers end with status "
                f"{verdict.status}. The same command on all of them goes on "
                "from the newest checkpoint.",
                file=stream,
            )
        if verdict.stalled:
            print("What the threads of this worker do:", file=stream)
            stream.flush()
            faulthandler.dump_traceback(stream, all_threads=True)
        stream.flush()
    os._exit(verdict.status)


class Monitor:
    """Connects this worker with the others, from start to end of a run.

    Args:
      cluster: who they are.
      connections: from `meet`.
      pulse: what this worker does.
      report: takes lines about slow workers.
      leave: takes the verdict when the run cannot go on; does not return.

    Attributes:
      told_to_stop: status that a signal ends this process with; 0: none came.
    """

    told_to_stop = 0

    def __init__(
        self,
        cluster: Cluster,
        connections: dict[int, Connection],
        pulse: Pulse,
        report: Callable[[str], None] = print,
        leave: Callable[[Verdict], None] = leave,
    ):
        self.pulse = pulse
        self._cluster = cluster
        self._connections = dict(connections)
        self._all_connections = dict(connections)
        self._report = report
        self._leave = leave
        now = time.monotonic()
        others = range(len(cluster.workers)) if self._is_chief else (0,)
        self._others = {
            index: Member(cluster.name(index))
            for index in others
            if index != cluster.index
        }
        self._heard = dict.fromkeys(self._others, now)
        self._gone_at: dict[int, float] = {}
        # By what they are about and how often that was asked before.
        self._rounds: collections.Counter[str] = collections.Counter()
        self._facts: dict[str, dict[int, dict]] = {}
        self._answers: dict[str, list[str]] = {}
        self._news = threading.Condition()
        self._end = threading.Event()
        self._left = False
        self._slow_reported = -SLOW_REPORT_SECONDS
        self._thread = threading.Thread(
            target=self._run, name="tfbert monitor", daemon=True
        )
        self._thread.start()
        # For programs of users that do not leave the Distribution.
        atexit.register(self._close_at_exit)

    @property
    def _is_chief(self) -> bool:
        return self._cluster.index == 0

    # -- what the training thread calls --------------------------------------

    def agree(
        self,
        about: str,
        facts: dict,
        status: int = exit_status.USER_ERROR,
        advice: str = "",
    ) -> None:
        """Returns when all workers have given the same facts.

        Waits as long as all of them live. It may be asked again and again, in
        the same order on all workers.

        Args:
          about: what the facts are about; the same on all workers.
          facts: name -> JSON value.
          status: what the process ends with where they differ.
          advice: what to do then.

        Raises:
          Disagreement: on all workers, names what differs and where.
        """
        key = f"{about}#{self._rounds[about]}"
        self._rounds[about] += 1
        if self._is_chief:
            self._note_facts(key, self._cluster.index, facts)
        else:
            self._send_all(kind="facts", about=key, facts=facts)
        with self._news:
            self._news.wait_for(lambda: key in self._answers)
            found = self._answers.pop(key)
        if found:
            error = Disagreement(
                f"wanted the same {about} on all workers, got:\n  "
                + "\n  ".join(found)
                + (f"\n{advice}" if advice else "")
            )
            error.status = status
            raise error

    def wait_for_verdict(self) -> None:
        """Gives the monitor time to find out who is lost.

        For errors of TensorFlow that may be no more than the echo of another
        worker's end. Returns only if all others are well.
        """
        limit = self.pulse.stall_seconds + failure_detector.GRACE_SECONDS + 3.0
        if self._end.wait(limit):
            # It is about to end this process: the error would only be in the
            # way of what it says.
            self._thread.join(PAUSE_SECONDS)

    def close(self, status: int = 0, error: str = "") -> None:
        """Says good-bye, so that the others know that this end is meant."""
        if self._end.is_set():
            return
        self.pulse.enter(ENDING)
        self._send_all(kind="bye", status=status, error=error[:2000])
        self._end.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(PAUSE_SECONDS)
        for connection in self._all_connections.values():
            connection.close()

    def _close_at_exit(self) -> None:
        error = getattr(sys, "last_value", None)
        status = int(error is not None) or self.told_to_stop
        self.close(status, repr(error) if error else "")

    # -- what the thread does --------------------------------------------------

    def _run(self) -> None:
        now = time.monotonic()
        self._sent = -PULSE_SECONDS
        while not self._end.is_set():
            before, now = now, time.monotonic()
            # Without this thread the others take this worker for stalled.
            try:
                self._turn(now, now - before)
            except SURVIVED:
                with contextlib.suppress(*SURVIVED):
                    traceback.print_exc()
                self._end.wait(PULSE_SECONDS)

    def _turn(self, now: float, pause: float) -> None:
        if pause > PAUSE_SECONDS:
            self._forgive(pause)
        if now - self._sent >= PULSE_SECONDS:
            self._sent = now
            self._send_all(kind="pulse", **self.pulse.facts())
        self._receive()
        if not self._end.is_set():
            self._decide(time.monotonic())

    def _forgive(self, pause: float) -> None:
        self.pulse.forgive(pause)
        for index in self._heard:
            self._heard[index] += pause
        for index in self._gone_at:
            self._gone_at[index] += pause

    def _receive(self) -> None:
        waiting = list(self._connections.values())
        if not waiting:
            self._end.wait(PULSE_SECONDS / 2)
            return
        ready = select.select(waiting, [], [], PULSE_SECONDS / 2)[0]
        for connection in ready:
            messages = connection.receive()
            now = time.monotonic()
            for message in messages or ():
                self._heard[connection.index] = now
                self._take(connection.index, message)
            if messages is None:
                self._gone_at.setdefault(connection.index, now)
                self._connections.pop(connection.index, None)

    def _take(self, index: int, message: dict) -> None:
        kind = message.pop("kind", None)
        member = self._others[index]
        if kind == "pulse":
            for name, value in message.items():
                setattr(member, name, value)
        elif kind == "facts":
            self._note_facts(message["about"], index, message["facts"])
        elif kind == "answer":
            self._note_answer(message["about"], message["differences"])
        elif kind == "bye":
            member.status, member.error = message["status"], message["error"]
            member.phase = ENDING if member.status == 0 else member.phase
            self._gone_at[index] = time.monotonic()
        elif kind == "verdict":
            self._end_by(Verdict(**message))

    def _note_facts(self, about: str, index: int, facts: dict) -> None:
        """The chief answers when all have given theirs."""
        with self._news:
            given = self._facts.setdefault(about, {})
            given[index] = facts
            complete = len(given) == len(self._cluster.workers)
            if complete:
                del self._facts[about]
        if complete:
            names = {i: self._cluster.name(i) for i in sorted(given)}
            found = differences({names[i]: given[i] for i in sorted(given)})
            self._send_all(kind="answer", about=about, differences=found)
            self._note_answer(about, found)

    def _note_answer(self, about: str, found: list[str]) -> None:
        with self._news:
            self._answers[about] = found
            self._news.notify_all()

    def _members(self, now: float) -> list[Member]:
        """All workers that this one knows of, in order."""
        members = dict(self._others)
        for index, member in members.items():
            member.silent = now - self._heard[index]
            gone = self._gone_at.get(index)
            member.gone = None if gone is None else now - gone
        me = Member(self._cluster.name(self._cluster.index))
        for name, value in self.pulse.facts().items():
            setattr(me, name, value)
        members[self._cluster.index] = me
        # Pulses of short steps are old news: a worker that went silent was in
        # the step in which the others wait for it.
        if me.step is not None:
            for member in members.values():
                if member.silent > 2 * PULSE_SECONDS and member.status is None:
                    member.step = max(member.step or 0, me.step)
        return [members[index] for index in sorted(members)]

    def _decide(self, now: float) -> None:
        members = self._members(now)
        if not self._is_chief:
            # How long the chief may take for a step, all others considered,
            # only the chief knows; whether it lives, we see.
            chief = members[0]
            chief.limit = None
            members = [chief] if chief.gone is None else members
        verdict = failure_detector.judge(members, self.pulse.stall_seconds)
        if verdict:
            self._send_all(
                kind="verdict",
                text=verdict.text,
                status=verdict.status,
                stalled=verdict.stalled,
            )
            self._end_by(verdict)
        elif self._is_chief and now - self._slow_reported > SLOW_REPORT_SECONDS:
            line = failure_detector.stragglers(members)
            if line:
                self._slow_reported = now
                # No display ends a run.
                with contextlib.suppress(*SURVIVED):
                    self._report(line)

    def _end_by(self, verdict: Verdict) -> None:
        self._end.set()
        self._leave(verdict)

    def _send_all(self, **message) -> None:
        for connection in list(self._connections.values()):
            connection.send(**message)
