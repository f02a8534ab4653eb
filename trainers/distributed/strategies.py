"""The tf.distribute strategy that flags and environment ask for."""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Sequence

import keras
import tensorflow as tf

from tfbert.errors import UserError
from trainers.distributed import connecting, step_probes, worker_status
from trainers.distributed.members import Cluster, find_cluster
from trainers.distributed.monitor import Monitor
from trainers.files import exit_status

_log = logging.getLogger(__name__)

START_SECONDS = 600.0
# Longer than a network file system takes to fail over.
STALL_SECONDS = 300.0
TPU_VARIABLE = "TPU_NAME"


@dataclasses.dataclass(frozen=True)
class Distribution:
    """A strategy and this process' place in it.

    Under several workers it is a context manager: leaving it tells the others
    that, and with what status, this worker ends.

    Args:
      strategy: what `scope()` and `run` come from.
      kind: one_device, mirrored, multi_worker or tpu.
      worker: index of this process among the workers.
      num_workers: processes that train together.
      monitor: hears from the other workers, if there are any.
    """

    strategy: tf.distribute.Strategy
    kind: str
    worker: int = 0
    num_workers: int = 1
    monitor: Monitor | None = None

    def __enter__(self) -> "Distribution":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if self.monitor is None:
            return
        if isinstance(error, tf.errors.OpError):
            # A collective fails when another worker is gone: the monitor
            # knows which one, and ends this process with its own status.
            _log.info(
                f"worker {self.worker}: {type(error).__name__} from "
                "TensorFlow; finding out whether a worker is lost"
            )
            self.monitor.wait_for_verdict()
        self.monitor.close(*_status_of(error))

    @property
    def num_replicas(self) -> int:
        """Replicas over all workers."""
        return self.strategy.num_replicas_in_sync

    @property
    def is_chief(self) -> bool:
        """Whether this process writes files and speaks to the user."""
        return self.worker == 0

    def agree(
        self,
        about: str,
        facts: Callable[[], dict],
        status: int = exit_status.USER_ERROR,
        advice: str = "",
    ) -> None:
        """Waits for all workers; raises UserError where their facts differ.

        Args:
          about: what the facts are about.
          facts: returns name -> JSON value; asked under several workers only.
          status: exit status of the error.
          advice: what to do then.
        """
        if self.monitor is not None:
            self.monitor.agree(about, facts(), status, advice)

    def enter(self, phase: str) -> None:
        """Tells the monitor what this worker does (see worker_status.py)."""
        if self.monitor is not None:
            self.monitor.pulse.enter(phase)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Tells the monitor that what is inside waits for other workers."""
        if self.monitor is None:
            yield
            return
        before = self.monitor.pulse.phase
        self.enter(worker_status.WAITING)
        yield
        self.enter(before)

    def watch(self, model: keras.Model) -> None:
        """Lets the monitor see the phases of a TrainingModel's step."""
        if self.monitor is not None:
            replicas = self.num_replicas // self.num_workers
            step_probes.watch_step(model, self.monitor.pulse, replicas)

    def watched(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        saving: keras.callbacks.Callback | None = None,
    ) -> list[keras.callbacks.Callback]:
        """Callbacks of `fit` that let the monitor see what they do.

        Args:
          callbacks: those to run.
          saving: the one that writes checkpoints, which may take long.
        """
        if self.monitor is None:
            return list(callbacks)
        named = {saving: worker_status.SAVING}
        return step_probes.surround(callbacks, named, self.monitor.pulse)

    def dataset(self, make: Callable[[int, int], tf.data.Dataset]):
        """Distributes batches that are made replica by replica.

        Args:
          make: (first_replica, local_replicas) -> dataset that yields, for
            each step, one batch for each of these replicas in order.
        """
        if self.kind == "one_device":
            return make(0, 1)

        def make_local(context: tf.distribute.InputContext):
            local = self.num_replicas // context.num_input_pipelines
            return make(context.input_pipeline_id * local, local)

        return self.strategy.distribute_datasets_from_function(make_local)

    def describe(
        self, batch_size: int, accumulation_steps: int, rows: int | None = None
    ) -> str:
        """One line: devices and the arithmetic of the global batch.

        Args:
          batch_size: rows in a global batch.
          accumulation_steps: micro-batches of a replica.
          rows: rows in an epoch, if they are to be told.
        """
        per_step = batch_size // (self.num_replicas * accumulation_steps)
        replicas = "replica" if self.num_replicas == 1 else "replicas"
        workers = ""
        if self.num_workers > 1:
            workers = f" on {self.num_workers} workers (this is {self.worker})"
        epoch = ""
        if rows is not None:
            epoch = (
                f"; {rows:,} rows / {batch_size} = {rows / batch_size:,.1f} "
                "steps an epoch"
            )
        return (
            f"{self.kind}: {self.num_replicas} {replicas}{workers}; batch "
            f"{batch_size} = {self.num_replicas} x {accumulation_steps} "
            f"micro-batches x {per_step} rows{epoch}"
        )

    def check_batch_size(self, batch_size: int, accumulation_steps: int):
        """Raises UserError unless replicas and micro-batches divide it."""
        parts = self.num_replicas * accumulation_steps
        if batch_size % parts:
            raise UserError(
                f"wanted a batch_size that {self.num_replicas} replicas x "
                f"{accumulation_steps} accumulation steps = {parts} divides, "
                f"got {batch_size}; the nearest are "
                f"{max(batch_size // parts, 1) * parts} and "
                f"{(batch_size // parts + 1) * parts}"
            )


def make_distribution(
    strategy: str = "auto",
    tpu: str | None = None,
    devices: int | None = None,
    start_timeout: float = START_SECONDS,
    stall_timeout: float = STALL_SECONDS,
) -> Distribution:
    """Makes the strategy; call it before any other TensorFlow operation.

    `auto` is: tpu if a TPU is named, multi_worker if TF_CONFIG or Slurm list
    several workers, mirrored if there are several devices, else one_device.

    Args:
      strategy: auto, one_device, mirrored, multi_worker or tpu.
      tpu: TPU name or address, "local" on a TPU VM; None: as TPU_NAME says.
      devices: how many devices of this host to use. Without a GPU, this
        many logical CPUs are made.
      start_timeout: seconds to wait for other workers.
      stall_timeout: seconds without a sign of life, or in one step, after
        which a worker counts as stalled.

    Raises:
      UserError: TF_CONFIG is malformed, or what is asked for is not there.
      NotStarted: some workers did not come.
    """
    cluster = find_cluster()
    tpu = tpu or os.environ.get(TPU_VARIABLE) or None
    asked = strategy
    if strategy == "auto":
        strategy = detect_strategy(cluster, tpu, devices)
    if cluster is None or cluster.index == 0:
        _log.info(_found(cluster, tpu, asked, strategy))
    if strategy == "tpu":
        return _make_tpu(tpu)
    names = _local_devices(devices)
    if strategy == "multi_worker":
        return _make_multi_worker(cluster, start_timeout, stall_timeout)
    if strategy == "mirrored":
        return Distribution(_make_mirrored(names), strategy)
    return Distribution(tf.distribute.get_strategy(), strategy)


def distribution_of(settings) -> Distribution:
    """The distribution that the settings of a run ask for.

    Args:
      settings: with a section runtime.

    Raises:
      UserError, NotStarted: see make_distribution.
    """
    runtime = settings.runtime
    if runtime.deterministic:
        tf.config.experimental.enable_op_determinism()
    return make_distribution(
        runtime.strategy,
        runtime.tpu,
        runtime.devices,
        runtime.start_timeout,
        runtime.stall_timeout,
    )


def distribution_on(devices: int) -> Distribution:
    """The distribution of a process of its own on some devices of this host.

    Args:
      devices: how many GPUs; without one, as many logical CPUs.

    Raises:
      UserError: there are not so many.
    """
    if devices == 1:
        return Distribution(tf.distribute.get_strategy(), "one_device")
    return Distribution(_make_mirrored(_local_devices(devices)), "mirrored")


def detect_strategy(
    cluster: Cluster | None, tpu: str | None, devices: int | None
) -> str:
    """The strategy that `auto` stands for; see make_distribution."""
    if tpu:
        return "tpu"
    if cluster and len(cluster.workers) > 1:
        return "multi_worker"
    if devices is None:
        devices = len(tf.config.list_physical_devices("GPU"))
    return "mirrored" if devices > 1 else "one_device"


def _found(cluster: Cluster | None, tpu, asked: str, strategy: str) -> str:
    """One line: what there is, and what follows from it."""
    parts = [f"TPU {tpu!r}" if tpu else f"no TPU ({TPU_VARIABLE} is not set)"]
    tasks = os.environ.get("SLURM_NTASKS", "1")
    if cluster:
        parts.append(
            f"{len(cluster.workers)} workers by {cluster.source} (this is "
            f"worker {cluster.index} at {cluster.address})"
        )
    elif tasks.isdigit() and int(tasks) > 1:
        parts.append(
            f"a Slurm job of {tasks} tasks that did not start this process: "
            "start it with srun to use them"
        )
    else:
        parts.append("no cluster (TF_CONFIG, Slurm)")
    gpus = len(tf.config.list_physical_devices("GPU"))
    parts.append(f"{gpus} GPUs" if gpus else "no GPU")
    because = "" if asked == "auto" else " (runtime.strategy)"
    return f"Found {'; '.join(parts)}: {strategy}{because}"


def _local_devices(devices: int | None) -> list[str] | None:
    """Names of the devices to use; makes logical CPUs where there is no GPU."""
    gpus = tf.config.list_physical_devices("GPU")
    if devices is None:
        return None
    if gpus:
        if devices > len(gpus):
            raise UserError(
                f"wanted runtime.devices up to {len(gpus)} (the GPUs of this "
                f"host), got {devices}"
            )
        tf.config.set_visible_devices(gpus[:devices], "GPU")
        return [f"GPU:{index}" for index in range(devices)]
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * devices
    try:
        tf.config.set_logical_device_configuration(cpu, parts)
    except RuntimeError as error:
        made = len(tf.config.list_logical_devices("CPU"))
        if made < devices:
            raise UserError(
                f"wanted {devices} logical CPUs, but TensorFlow has started "
                f"with {made}; make the distribution first"
            ) from error
    return [f"CPU:{index}" for index in range(devices)]


def _make_mirrored(names: list[str] | None) -> tf.distribute.Strategy:
    # Collectives of logical CPUs are for one group of devices in a process;
    # adding up on one of them has no such limit and is faster. (TensorFlow's
    # HierarchicalCopyAllReduce leaves out the last of an odd number.)
    on_cpu = names is not None and names[0].startswith("CPU")
    return tf.distribute.MirroredStrategy(
        names,
        cross_device_ops=tf.distribute.ReductionToOneDevice()
        if on_cpu
        else None,
    )


def _make_multi_worker(
    cluster: Cluster | None, start_timeout: float, stall_timeout: float
) -> Distribution:
    if cluster is None:
        raise UserError(
            "the multi_worker strategy needs TF_CONFIG in the environment of "
            'every worker: {"cluster": {"worker": ["host0:port", '
            '"host1:port"]}, "task": {"type": "worker", "index": 0}}'
        )
    strategy, monitor = connecting.connect(
        cluster, start_timeout, stall_timeout, _log.info
    )
    return Distribution(
        strategy,
        "multi_worker",
        cluster.index,
        len(cluster.workers),
        monitor,
    )


def _make_tpu(tpu: str | None) -> Distribution:
    """Connects to a TPU: a name, a grpc address, or "local" on a TPU VM."""
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            tpu=tpu or "local"
        )
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        strategy = tf.distribute.TPUStrategy(resolver)
    except (
        ValueError,
        OSError,  # the metadata server does not answer
        RuntimeError,
        tf.errors.OpError,
    ) as error:
        raise UserError(
            f"wanted a TPU named {tpu or 'local'!r}, got: {error}. On a TPU "
            'VM give --runtime.tpu local and install "tfbert[tpu]"'
        ) from error
    return Distribution(strategy, "tpu")


def _status_of(error: BaseException | None) -> tuple[int, str]:
    """Exit status that an exception ends this process with, and why."""
    if error is None:
        return 0, ""
    if isinstance(error, SystemExit):
        code = error.code
        return (code, "") if isinstance(code, int) else (int(bool(code)), "")
    if isinstance(error, KeyboardInterrupt):
        return exit_status.INTERRUPTED, ""
    if isinstance(error, exit_status.Stopped):
        return error.status, ""
    if isinstance(error, UserError):
        return error.status, str(error)
    return 1, f"{type(error).__name__}: {error}"
