"""The tf.distribute strategy that flags and environment ask for."""

import dataclasses
import json
import os
from collections.abc import Callable

import tensorflow as tf

from tfbert.errors import UserError


@dataclasses.dataclass(frozen=True)
class Distribution:
    """A strategy and this process' place in it.

    Args:
      strategy: what `scope()` and `run` come from.
      kind: one_device, mirrored, multi_worker or tpu.
      worker: index of this process among the workers.
      num_workers: processes that train together.
    """

    strategy: tf.distribute.Strategy
    kind: str
    worker: int = 0
    num_workers: int = 1

    @property
    def num_replicas(self) -> int:
        """Replicas over all workers."""
        return self.strategy.num_replicas_in_sync

    @property
    def is_chief(self) -> bool:
        """Whether this process writes files and speaks to the user."""
        return self.worker == 0

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

    def describe(self, batch_size: int, accumulation_steps: int) -> str:
        """One line: devices and the arithmetic of the global batch."""
        per_step = batch_size // (self.num_replicas * accumulation_steps)
        replicas = "replica" if self.num_replicas == 1 else "replicas"
        workers = ""
        if self.num_workers > 1:
            workers = f" on {self.num_workers} workers (this is {self.worker})"
        return (
            f"{self.kind}: {self.num_replicas} {replicas}{workers}; batch "
            f"{batch_size} = {self.num_replicas} x {accumulation_steps} "
            f"micro-batches x {per_step} rows"
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
    strategy: str = "auto", tpu: str | None = None, devices: int | None = None
) -> Distribution:
    """Makes the strategy; call it before any other TensorFlow operation.

    `auto` is: tpu if a TPU is named, multi_worker if TF_CONFIG lists several
    workers, mirrored if there are several devices, else one_device.

    Args:
      strategy: auto, one_device, mirrored, multi_worker or tpu.
      tpu: TPU name or address, "local" on a TPU VM.
      devices: how many devices of this host to use. Without a GPU, this
        many logical CPUs are made.

    Raises:
      UserError: TF_CONFIG is malformed, or what is asked for is not there.
    """
    cluster = read_tf_config()
    if strategy == "auto":
        strategy = _detect(cluster, tpu, devices)
    if strategy == "tpu":
        return _make_tpu(tpu)
    names = _local_devices(devices)
    if strategy == "multi_worker":
        return _make_multi_worker(cluster)
    if strategy == "mirrored":
        return Distribution(_make_mirrored(names), strategy)
    return Distribution(tf.distribute.get_strategy(), strategy)


def read_tf_config() -> dict | None:
    """TF_CONFIG as {"workers": [...], "index": i}; None if it is not set.

    Raises:
      UserError: names the field that is wrong.
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text or text == "{}":
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"TF_CONFIG is not JSON: {error}. Wanted "
            '{"cluster": {"worker": ["host:port", ...]}, '
            '"task": {"type": "worker", "index": 0}}'
        ) from error
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
    return {"workers": workers, "index": int(index)}


def _field(value, section, name, kind):
    found = value.get(section) if isinstance(value, dict) else None
    found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, kind) or found == []:
        raise UserError(
            f"TF_CONFIG: wanted {section}.{name}, got {found!r} in "
            f"{json.dumps(value)}"
        )
    return found


def _detect(cluster, tpu, devices) -> str:
    if tpu:
        return "tpu"
    if cluster and len(cluster["workers"]) > 1:
        return "multi_worker"
    if devices is None:
        devices = len(tf.config.list_physical_devices("GPU"))
    return "mirrored" if devices > 1 else "one_device"


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
    # copying through one of them has no such limit and is as fast.
    on_cpu = names is not None and names[0].startswith("CPU")
    return tf.distribute.MirroredStrategy(
        names,
        cross_device_ops=tf.distribute.HierarchicalCopyAllReduce()
        if on_cpu
        else None,
    )


def _make_multi_worker(cluster) -> Distribution:
    if cluster is None:
        raise UserError(
            "the multi_worker strategy needs TF_CONFIG in the environment of "
            'every worker: {"cluster": {"worker": ["host0:port", '
            '"host1:port"]}, "task": {"type": "worker", "index": 0}}'
        )
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        address = cluster["workers"][cluster["index"]]
        raise UserError(
            f"worker {cluster['index']} could not join the cluster as "
            f"{address} (is the port free, and does every host of TF_CONFIG "
            f"answer?): {error}"
        ) from error
    return Distribution(
        strategy, "multi_worker", cluster["index"], len(cluster["workers"])
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
