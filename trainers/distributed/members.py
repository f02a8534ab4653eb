"""Who the workers are: TF_CONFIG, or the environment of a Slurm step."""

import dataclasses
import errno
import json
import os
import socket
from collections.abc import Mapping

from tfbert.errors import UserError
from tfbert.json_files import parse
from trainers.distributed import slurm

WANTED = (
    '{"cluster": {"worker": ["host0:port", "host1:port"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
# The monitor listens this far above the chief's port, unless it is told.
MONITOR_OFFSET = 1000
MONITOR_VARIABLE = "TFBERT_MONITOR"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers and this process' place among them.

    Args:
      workers: "host:port" of each; worker 0 is the chief.
      index: which of them this process is.
      source: where this was found out, for messages.
      monitor: "host:port" at which the chief's monitor listens.
    """

    workers: tuple[str, ...]
    index: int
    source: str
    monitor: str

    @property
    def address(self) -> str:
        """This worker's own "host:port"."""
        return self.workers[self.index]

    def name(self, index: int) -> str:
        """How messages call a worker."""
        chief = ", the chief" if index == 0 else ""
        return f"worker {index} ({self.workers[index]}{chief})"

    def tf_config(self) -> str:
        """The content of TF_CONFIG that says the same."""
        return json.dumps(
            {
                "cluster": {"worker": list(self.workers)},
                "task": {"type": "worker", "index": self.index},
            }
        )


def find_cluster(environment: Mapping[str, str] = os.environ):
    """The cluster of TF_CONFIG, else of Slurm, else None.

    Raises:
      UserError: names the field or variable that is wrong.
    """
    return read_tf_config(environment) or read_slurm(environment)


def read_tf_config(environment: Mapping[str, str] = os.environ):
    """The Cluster of TF_CONFIG; None if it is not set.

    Raises:
      UserError: names the field that is wrong.
    """
    text = environment.get("TF_CONFIG", "").strip()
    if not text or text == "{}":
        return None
    try:
        value = parse(text, "TF_CONFIG")
    except UserError as error:
        raise UserError(f"{error}. Wanted {WANTED}") from error
    workers = _field(value, "cluster", "worker", kind=list)
    kind = _field(value, "task", "type", kind=str)
    index = _field(value, "task", "index", kind=(int, str))
    extra = sorted(set(value["cluster"]) - {"worker"})
    if extra or kind != "worker":
        raise UserError(
            f"TF_CONFIG: wanted tasks of type 'worker' only (worker 0 is the "
            f"chief), got cluster {extra or ['worker']} and task.type {kind!r}"
        )
    if not str(index).isdigit() or int(index) >= len(workers):
        raise UserError(
            f"TF_CONFIG: wanted task.index from 0 to {len(workers) - 1} (the "
            f"cluster has {len(workers)} workers), got {index!r}"
        )
    _check_addresses(workers)
    monitor = _monitor_address(workers[0], environment)
    return Cluster(tuple(workers), int(index), "TF_CONFIG", monitor)


def read_slurm(environment: Mapping[str, str] = os.environ):
    """The Cluster of a Slurm step with several tasks; None elsewhere.

    Raises:
      UserError: names the variable that is wrong.
    """
    step = slurm.read_step(environment)
    if step is None:
        return None
    monitor = environment.get(MONITOR_VARIABLE) or step.monitor
    return Cluster(step.workers, step.index, step.source, monitor)


def check_port_is_free(cluster: Cluster) -> None:
    """Raises UserError if another program listens at this worker's port.

    TensorFlow itself would share the port with it, and both would wait.
    """
    port = split_address(cluster.address)[1]
    try:
        listen(port).close()
    except OSError as error:
        raise UserError(
            f"{cluster.source}: port {port} of worker {cluster.index} "
            f"(cluster.worker[{cluster.index}] = {cluster.address!r}) "
            f"cannot be used on this host: {error.strerror}. End what "
            "listens there, or give another port"
        ) from error


def listen(port: int, backlog: int = 1) -> socket.socket:
    """Listens at a port of all addresses of this host, IPv4 and IPv6.

    As after a restart, connections that ended a moment ago do not count.

    Raises:
      OSError: the port cannot be used.
    """
    options = {"backlog": backlog}
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port),
                family=socket.AF_INET6,
                dualstack_ipv6=True,
                **options,
            )
        except OSError as error:
            # The library knows IPv6, but this host has none.
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
    return socket.create_server(("", port), **options)


def split_address(address: str) -> tuple[str, int]:
    """ "host:port" -> (host, port)."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _monitor_address(chief: str, environment) -> str:
    told = environment.get(MONITOR_VARIABLE, "").strip()
    if told:
        if not _is_address(told):
            raise UserError(
                f"{MONITOR_VARIABLE}: wanted host:port, got {told!r}"
            )
        return told
    host, _, port = chief.rpartition(":")
    port = int(port) + MONITOR_OFFSET
    return f"{host}:{port if port < 2**16 else port - 2 * MONITOR_OFFSET}"


def _field(value, section, name, kind):
    found = value.get(section) if isinstance(value, dict) else None
    found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, kind) or found == []:
        raise UserError(
            f"TF_CONFIG: wanted {section}.{name}, got {found!r} in "
            f"{json.dumps(value)}"
        )
    return found


def _check_addresses(workers: list) -> None:
    for index, address in enumerate(workers):
        if not isinstance(address, str) or not _is_address(address):
            raise UserError(
                f'TF_CONFIG: wanted "host:port" in cluster.worker[{index}], '
                f"got {address!r}"
            )
    if len(set(workers)) < len(workers):
        raise UserError(
            f"TF_CONFIG: wanted another address for each worker in "
            f"cluster.worker, got {workers}"
        )


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdigit() and 0 < int(port) < 2**16
