"""Slurm's environment: the tasks of a step as workers of a cluster.

`srun` starts every task with SLURM_* variables that list the nodes and how
many tasks each has. Nothing is asked of Slurm itself, so that this works in
a container without its commands.
"""

import dataclasses
import re
from collections.abc import Mapping

from tfbert.errors import UserError

# Jobs get a slot of ports each, below the range from which Linux hands out
# ports of outgoing connections (32768 and up).
FIRST_PORT = 12000
PORTS_OF_A_JOB = 32
SLOTS = 600
MAX_NODES = 100_000


@dataclasses.dataclass(frozen=True)
class SlurmStep:
    """The tasks that one `srun` started.

    Args:
      workers: "host:port" of each task, in the order of their ranks.
      index: rank of this task.
      source: job and step, for messages.
      monitor: "host:port" for the chief's monitor.
    """

    workers: tuple[str, ...]
    index: int
    source: str
    monitor: str


def read_step(environment: Mapping[str, str]) -> SlurmStep | None:
    """The step that this process is a task of; None if it has one task.

    Raises:
      UserError: a variable is missing or makes no sense.
    """
    if "SLURM_STEP_NUM_TASKS" not in environment:
        # A batch script's own process: its job may have many tasks, but only
        # `srun` starts them.
        return None
    tasks = _number(environment, "SLURM_STEP_NUM_TASKS")
    if tasks < 2:
        return None
    job = _number(environment, "SLURM_JOB_ID")
    step = _number(environment, "SLURM_STEP_ID")
    index = _number(environment, "SLURM_PROCID")
    nodes = expand_nodes(_text(environment, "SLURM_STEP_NODELIST"))
    counts = expand_counts(_text(environment, "SLURM_STEP_TASKS_PER_NODE"))
    if len(counts) != len(nodes) or sum(counts) != tasks or index >= tasks:
        raise UserError(
            f"Slurm's variables do not fit together: {tasks} tasks, {index} "
            f"is SLURM_PROCID, {nodes} in SLURM_STEP_NODELIST, {counts} in "
            "SLURM_STEP_TASKS_PER_NODE"
        )
    if max(counts) >= PORTS_OF_A_JOB:
        raise UserError(
            f"wanted fewer than {PORTS_OF_A_JOB} tasks on a node, got "
            f"{max(counts)} in SLURM_STEP_TASKS_PER_NODE; one task for each "
            "node uses all its GPUs"
        )
    first = FIRST_PORT + PORTS_OF_A_JOB * ((job + 7 * step) % SLOTS)
    places = [
        (node, local)
        for node, count in zip(nodes, counts, strict=True)
        for local in range(count)
    ]
    _check_place(environment, nodes, places[index])
    return SlurmStep(
        # By rank, not by place on the node: tasks of one host that has
        # several names (as on a test cluster) do not meet either.
        tuple(
            f"{node}:{first + rank % (PORTS_OF_A_JOB - 1)}"
            for rank, (node, _) in enumerate(places)
        ),
        index,
        f"Slurm job {job}, step {step}",
        f"{nodes[0]}:{first + PORTS_OF_A_JOB - 1}",
    )


def gpus_of_task(environment: Mapping[str, str], gpus: int) -> range:
    """Which of the GPUs that this task sees are its own.

    Slurm shows every task of a node all GPUs of the job there, unless it is
    told to bind them (`--gpus-per-task`). Then each takes its share by
    SLURM_LOCALID.

    Args:
      environment: of a task of a step with several of them.
      gpus: how many this task sees.

    Raises:
      UserError: the tasks of this node cannot share them out evenly.
    """
    counts = expand_counts(_text(environment, "SLURM_STEP_TASKS_PER_NODE"))
    tasks = counts[int(environment.get("SLURM_NODEID") or 0)]
    on_node = environment.get("SLURM_GPUS_ON_NODE", "")
    if gpus == 0 or tasks == 1 or on_node != str(gpus):
        return range(gpus)
    if gpus % tasks:
        raise UserError(
            f"wanted a number of GPUs that the {tasks} tasks of this node "
            f"divide, got {gpus} (SLURM_GPUS_ON_NODE); give srun "
            "--ntasks-per-node=1, or --gpus-per-task"
        )
    share = gpus // tasks
    first = share * _number(environment, "SLURM_LOCALID")
    return range(first, first + share)


def expand_nodes(text: str) -> list[str]:
    """ "a[01-03,7],b" -> ["a01", "a02", "a03", "a7", "b"], as scontrol does.

    Raises:
      UserError: this is no list of nodes.
    """
    nodes = []
    # Commas outside brackets part names.
    parts = re.findall(r"(?:[^,\[\]]|\[[^\]]*\])+", text)
    if ",".join(parts) != text:
        raise UserError(f"wanted a list of Slurm nodes, got {text!r}")
    for part in parts:
        nodes += _expand_one(part, text)
        if len(nodes) > MAX_NODES:
            raise UserError(f"wanted a list of Slurm nodes, got {text!r}")
    return nodes


def expand_counts(text: str) -> list[int]:
    """ "2(x3),1" -> [2, 2, 2, 1], as in SLURM_STEP_TASKS_PER_NODE.

    Raises:
      UserError: this is no list of counts.
    """
    counts = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if not match or int(match[2] or 1) > MAX_NODES:
            raise UserError(
                f"wanted SLURM_STEP_TASKS_PER_NODE like 2(x3),1, got {text!r}"
            )
        counts += [int(match[1])] * int(match[2] or 1)
    return counts


def _expand_one(part: str, text: str) -> list[str]:
    """Expands the first bracket, then those behind it."""
    match = re.fullmatch(r"([^\[\]]*)\[([^\]]*)\](.*)", part)
    if not match:
        return [part]
    head, ranges, tail = match.groups()
    tails = _expand_one(tail, text) if tail else [""]
    names = []
    for piece in ranges.split(","):
        bounds = re.fullmatch(r"(\d+)(?:-(\d+))?", piece)
        if not bounds:
            raise UserError(f"wanted a list of Slurm nodes, got {text!r}")
        first, last = int(bounds[1]), int(bounds[2] or bounds[1])
        if not 0 <= last - first < MAX_NODES:
            raise UserError(f"wanted a list of Slurm nodes, got {text!r}")
        width = len(bounds[1])
        names += [f"{head}{n:0{width}d}" for n in range(first, last + 1)]
    return [name + end for name in names for end in tails]


def _check_place(environment, nodes, place) -> None:
    """Ranks must fill one node after the other."""
    node = environment.get("SLURM_NODEID", "")
    local = environment.get("SLURM_LOCALID", "")
    wanted = (str(nodes.index(place[0])), str(place[1]))
    if (node or wanted[0], local or wanted[1]) != wanted:
        raise UserError(
            f"wanted ranks that fill one node after the other (srun "
            f"--distribution=block); this rank is task {local} of node {node} "
            f"and not task {wanted[1]} of node {wanted[0]}"
        )


def _text(environment, name) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise UserError(f"Slurm started several tasks, but {name} is not set")
    return value


def _number(environment, name) -> int:
    value = _text(environment, name)
    if not value.isdigit():
        raise UserError(f"wanted a number in {name}, got {value!r}")
    return int(value)
