"""`tfbert launch`: several workers on this host, restarted when one is lost.

Each worker is a process with its own TF_CONFIG. On several hosts Slurm or
Kubernetes do what this does (docs/cluster.md).
"""

import json
import os
import shlex
import socket
import sys

from tfbert.errors import UserError
from trainers import command
from trainers.distributed.members import MONITOR_VARIABLE

# Verbs that train, and so can have several workers.
VERBS = ("pretrain", "finetune")


def build_parser() -> command.Parser:
    """The parser of `tfbert launch`."""
    parser = command.make_parser(
        "launch",
        "Runs a training command as several workers on this host, each on its "
        "share of the GPUs, and prints their output with the worker's number "
        "before it. When a worker is lost or stalled, all are ended and "
        "started again; they go on from the newest checkpoint.",
        "tfbert launch --workers 2 -- pretrain --config "
        "trainers/configs/pretrain_mini_cpu.yaml",
        # The worker looks at its own.
        may_be_addresses=("command",),
    )
    parser.add_argument(
        "--workers", type=int, default=2, help="processes to start"
    )
    parser.add_argument(
        "--max_restarts",
        type=int,
        default=3,
        help="how many times all workers are started again",
    )
    parser.add_argument(
        "--grace_seconds",
        type=float,
        default=90.0,
        help="how long workers may take to end after a signal, or after one "
        "of them has ended, before they are killed",
    )
    parser.add_argument(
        "command",
        nargs="+",
        help="after --: pretrain or finetune, with its options",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb.

    Raises:
      UserError: the options make no sense.
      SystemExit: a worker failed for good; the status is its own.
    """
    from trainers.distributed.processes import Group

    argv = sys.argv[1:] if argv is None else list(argv)
    options = build_parser().parse_args(with_separator(argv))
    check(options)
    group = Group(
        [sys.executable, "-m", "trainers.cli", *options.command],
        lambda: environments(options.workers),
        options.max_restarts,
        options.grace_seconds,
        # Plain text: output of workers is not for rich to interpret.
        lambda line: print(line, flush=True),
    )
    print(f"{options.workers} workers: tfbert {shlex.join(options.command)}")
    status = group.run()
    if status:
        raise SystemExit(status)


def with_separator(argv: list[str]) -> list[str]:
    """The arguments with `--` before the verb, where it was left out.

    Without it the verb's options would be read as those of launch.
    """
    for place, argument in enumerate(argv):
        if argument == "--":
            break
        if argument in VERBS:
            return [*argv[:place], "--", *argv[place:]]
    return argv


def check(options) -> None:
    """Raises UserError for options that make no sense."""
    if options.workers < 1:
        raise UserError(f"wanted --workers from 1, got {options.workers}")
    if options.max_restarts < 0:
        raise UserError(
            f"wanted --max_restarts from 0, got {options.max_restarts}"
        )
    if options.grace_seconds <= 0:
        raise UserError(
            f"wanted --grace_seconds above 0, got {options.grace_seconds:g}"
        )
    if options.command[0] not in VERBS:
        raise UserError(
            f"wanted {' or '.join(VERBS)} after --, got {options.command[0]!r}"
        )


def environments(workers: int) -> list[dict[str, str]]:
    """What each worker's environment has beside ours; with free ports."""
    ports = free_ports(workers + 1)
    addresses = [f"localhost:{port}" for port in ports[:-1]]
    shares = split_gpus(visible_gpus(), workers)
    found = []
    for index in range(workers):
        task = {"type": "worker", "index": index}
        variables = {
            "TF_CONFIG": json.dumps(
                {"cluster": {"worker": addresses}, "task": task}
            ),
            MONITOR_VARIABLE: f"localhost:{ports[-1]}",
            "PYTHONUNBUFFERED": "1",
        }
        if shares is not None:
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(shares[index])
        found.append(variables)
    return found


def free_ports(count: int) -> list[int]:
    """Ports of this host at which nobody listens now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def visible_gpus() -> list[str]:
    """The GPUs that TensorFlow would see, as CUDA_VISIBLE_DEVICES has them."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return [name for name in told.split(",") if name.strip()]
    try:
        found = os.listdir("/proc/driver/nvidia/gpus")
    except OSError:
        return []
    return [str(index) for index in range(len(found))]


def split_gpus(gpus: list[str], workers: int) -> list[list[str]] | None:
    """Each worker's GPUs, as many for each; None where there are none.

    Raises:
      UserError: they cannot be shared out evenly.
    """
    if not gpus:
        return None
    if len(gpus) % workers:
        raise UserError(
            f"wanted a number of --workers that divides {len(gpus)} GPUs "
            f"(CUDA_VISIBLE_DEVICES), got {workers}"
        )
    share = len(gpus) // workers
    return [gpus[i * share : (i + 1) * share] for i in range(workers)]


if __name__ == "__main__":
    sys.exit(command.script(main))
