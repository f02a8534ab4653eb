"""Watches over the moment in which nothing of ours runs.

TensorFlow joins its cluster in C++ and keeps Python's lock: no thread of this
process runs until all workers have come. So another process, that imports
nothing, watches the connections to the other monitors and the clock. It ends
this one by signals whose handler, while we join, is the C library's `_exit`:
that runs without Python, and its argument, the signal's number, is the exit
status: SIGTRAP is 5, SIGABRT 6.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

from trainers.distributed.members import Cluster
from trainers.distributed.wire import Connection
from trainers.files import exit_status

END_BY = {
    exit_status.LOST: signal.SIGTRAP,
    exit_status.NOT_STARTED: signal.SIGABRT,
}


@contextlib.contextmanager
def guarded(
    cluster: Cluster, connections: dict[int, Connection], seconds: float
) -> Iterator[None]:
    """Ends this process if what is inside does not return.

    With exit_status.LOST when another worker's connection ends, with
    exit_status.NOT_STARTED after `seconds`; both with a message.

    Args:
      cluster: who the workers are.
      connections: from `meet`.
      seconds: the time to join.
    """
    told = {
        "seconds": seconds,
        "names": {c.fileno(): cluster.name(i) for i, c in connections.items()},
        "addresses": ", ".join(cluster.workers),
    }
    libc = ctypes.CDLL(None)
    libc.signal.restype = ctypes.c_void_p
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    leave = ctypes.cast(libc._exit, ctypes.c_void_p)
    before = {number: libc.signal(number, leave) for number in END_BY.values()}
    mine, theirs = os.pipe()
    guard = subprocess.Popen(
        [sys.executable, "-ESc", _GUARD, json.dumps(told), str(mine)],
        pass_fds=(mine, *told["names"]),
        stdin=subprocess.DEVNULL,
    )
    os.close(mine)
    try:
        yield
    finally:
        os.close(theirs)
        guard.wait()
        for number, handler in before.items():
            libc.signal(number, handler)


# The other process: ends when the pipe does, with or without us.
_GUARD = f"""
import json, os, select, sys, time
told, pipe = json.loads(sys.argv[1]), int(sys.argv[2])
names = {{int(k): v for k, v in told["names"].items()}}
parent, end = os.getppid(), time.monotonic() + told["seconds"]
poll = select.poll()
poll.register(pipe, 0)
for each in names:
    poll.register(each, select.POLLRDHUP)
while True:
    left = end - time.monotonic()
    found = [each for each, _ in poll.poll(max(left, 0) * 1000)]
    if pipe in found:
        break
    if found or left <= 0:
        # What is about to say why it ends is given the time to.
        time.sleep(1.0 if found else 0.0)
        text, number = (
            (f"{{names[found[0]]}} was lost before the first step, while "
             "the workers joined TensorFlow's cluster", {int(signal.SIGTRAP)})
            if found else
            (f"TensorFlow's cluster did not come together within "
             f"{{told['seconds']:g}} s (runtime.start_timeout): can all "
             f"workers reach each other at {{told['addresses']}}?",
             {int(signal.SIGABRT)})
        )
        if os.getppid() == parent:
            print("error:", text, file=sys.stderr, flush=True)
            os.kill(parent, number)
        break
"""
