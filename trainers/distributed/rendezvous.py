"""All workers come together before TensorFlow starts, or it says who did not.

The chief listens at the monitor's address; the others call it until it
answers. TensorFlow's own start waits in C++ for workers that never come, and
does not say for which.
"""

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable

from tfbert.errors import UserError
from trainers.distributed.members import Cluster, listen, split_address
from trainers.distributed.wire import Connection
from trainers.files import exit_status

HELLO_SECONDS = 10.0
RETRY_SECONDS = 0.5
REMIND_SECONDS = 10.0


class NotStarted(UserError):
    """Some workers did not come."""

    status = exit_status.NOT_STARTED


def meet(
    cluster: Cluster,
    seconds: float,
    report: Callable[[str], None],
    gpus: int = 0,
) -> dict[int, Connection]:
    """Waits until all workers are there.

    Args:
      cluster: who they are.
      seconds: how long to wait for the last one.
      report: takes a line about who is still missing, now and then.
      gpus: that this worker uses; all need the same number.

    Returns:
      the chief's connections, by worker; on the others, {0: connection}.

    Raises:
      NotStarted: names the workers that did not come.
      UserError: the monitor's port is in use, or two processes are the same
        worker, of different clusters, or use other numbers of GPUs.
    """
    if cluster.index == 0:
        return _gather(cluster, seconds, report, gpus)
    return {0: _call(cluster, seconds, report, gpus)}


def _gather(cluster, seconds, report, gpus) -> dict[int, Connection]:
    listener = _listen(cluster)
    found: dict[int, Connection] = {}
    wanted = set(range(1, len(cluster.workers)))
    deadline = time.monotonic() + seconds
    remind = _Reminder(report)
    with listener:
        while wanted - found.keys():
            missing = ", ".join(
                cluster.name(i) for i in sorted(wanted - found.keys())
            )
            if time.monotonic() > deadline:
                message = f"{missing} did not start within {seconds:g} s"
                _dismiss(found, message)
                raise NotStarted(
                    f"{message} (runtime.start_timeout). Look at its own "
                    f"output, and whether it reaches {cluster.monitor}"
                )
            remind(f"waiting for {missing}")
            ready, _, _ = select.select(
                [listener, *found.values()], [], [], RETRY_SECONDS
            )
            for index in [i for i, c in found.items() if c in ready]:
                # Nothing is said before all are there: this one is gone.
                found.pop(index).close()
            if listener in ready:
                _admit(cluster, listener.accept()[0], found, gpus)
    for connection in found.values():
        connection.send(kind="ready")
    return found


def _listen(cluster: Cluster) -> socket.socket:
    port = split_address(cluster.monitor)[1]
    try:
        return listen(port, len(cluster.workers))
    except OSError as error:
        raise UserError(
            f"the chief's monitor cannot listen at port {port}: "
            f"{error.strerror}. End what listens there, or give all workers "
            "another address: TFBERT_MONITOR=host:port"
        ) from error


def _admit(
    cluster: Cluster, accepted: socket.socket, found: dict, gpus: int
) -> None:
    """Takes a caller in, or sends it away with the reason."""
    connection = Connection(accepted)
    hello = _first_message(connection, HELLO_SECONDS)
    if not hello or hello.get("kind") != "hello":
        # A port scanner, a health check: none of ours.
        connection.close()
        return
    index = hello["index"]
    if hello["workers"] != list(cluster.workers):
        reason = (
            f"the chief's workers are {list(cluster.workers)}, those of "
            f"worker {index} on {hello['host']} are {hello['workers']}; give "
            "all of them the same cluster.worker"
        )
    elif index in found or index == 0:
        reason = (
            f"there is a worker {index} already; {hello['host']}, process "
            f"{hello['pid']}, says that it is worker {index} too. Give each "
            "another task.index"
        )
    elif hello["gpus"] != gpus:
        reason = (
            f"worker {index} on {hello['host']} uses {hello['gpus']} GPUs, the "
            f"chief {gpus}; TensorFlow waits for ever where workers have "
            "unequal numbers. Look at CUDA_VISIBLE_DEVICES and the driver, or "
            "give runtime.devices"
        )
    else:
        connection.index = index
        found[index] = connection
        return
    connection.send(kind="refused", reason=reason)
    connection.close()
    _dismiss(found, reason)
    raise UserError(reason)


def _dismiss(found: dict[int, Connection], reason: str) -> None:
    for connection in found.values():
        connection.send(kind="refused", reason=reason)
        connection.close()


def _call(cluster, seconds, report, gpus) -> Connection:
    host, port = split_address(cluster.monitor)
    deadline = time.monotonic() + seconds
    remind = _Reminder(report)
    chief = cluster.name(0)
    while True:
        with contextlib.suppress(OSError):
            connection = Connection(
                socket.create_connection((host, port), HELLO_SECONDS)
            )
            connection.send(
                kind="hello",
                index=cluster.index,
                workers=list(cluster.workers),
                host=socket.gethostname(),
                pid=os.getpid(),
                gpus=gpus,
            )
            left = deadline - time.monotonic() + HELLO_SECONDS
            answer = _first_message(connection, left)
            if answer and answer.get("kind") == "ready":
                connection.index = 0
                return connection
            connection.close()
            if answer and answer.get("kind") == "refused":
                raise UserError(answer["reason"])
        if time.monotonic() > deadline:
            raise NotStarted(
                f"{chief} did not answer at {cluster.monitor} within "
                f"{seconds:g} s (runtime.start_timeout)"
            )
        remind(f"waiting for {chief} at {cluster.monitor}")
        time.sleep(RETRY_SECONDS)


def _first_message(connection: Connection, seconds: float) -> dict | None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([connection], [], [], left)[0]:
            return None
        messages = connection.receive()
        if messages is None:
            return None
        if messages:
            return messages[0]
    return None


class _Reminder:
    def __init__(self, report):
        self._report = report
        self._next = time.monotonic() + REMIND_SECONDS

    def __call__(self, line: str) -> None:
        if time.monotonic() >= self._next:
            self._next += REMIND_SECONDS
            self._report(line)
