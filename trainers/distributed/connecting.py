"""From a list of workers to TensorFlow's strategy and our monitor."""

import os
import signal
import threading
from collections.abc import Callable

import tensorflow as tf

from trainers.distributed import (
    joining,
    rendezvous,
    slurm,
    unlocked,
    worker_status,
)
from trainers.distributed.members import Cluster, check_port_is_free
from trainers.distributed.monitor import Monitor


def connect(
    cluster: Cluster,
    start_timeout: float,
    stall_timeout: float,
    report: Callable[[str], None],
) -> tuple[tf.distribute.Strategy, Monitor | None]:
    """Waits for all workers and joins TensorFlow's cluster with them.

    Args:
      cluster: who they are.
      start_timeout, stall_timeout: seconds; see make_distribution.
      report: takes lines for the user.

    Returns:
      (the strategy, the monitor; None where this worker is the only one)

    Raises:
      UserError: a port is in use, or workers differ in what they see.
      NotStarted: the cluster did not come together.
    """
    met = {}
    if len(cluster.workers) > 1:
        _end_by_sigterm()
        if cluster.source.startswith("Slurm"):
            _take_share_of_gpus()
        gpus = len(tf.config.get_visible_devices("GPU"))
        met = rendezvous.meet(cluster, start_timeout, report, gpus)
    # TensorFlow reads it too; Slurm does not set it.
    os.environ["TF_CONFIG"] = cluster.tf_config()
    # Now, not before: that we end here, the others see by the connection.
    check_port_is_free(cluster)
    try:
        with (
            joining.guarded(cluster, met, start_timeout),
            unlocked.joining(),
        ):
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        raise rendezvous.NotStarted(
            f"worker {cluster.index} could not join the cluster as "
            f"{cluster.address} (does every host of TF_CONFIG answer?): "
            f"{error}"
        ) from error
    monitor = None
    if met:
        # TensorFlow has put a handler of its own in the place of ours, behind
        # Python's back, that ends nothing.
        _end_by_sigterm()
        doing = worker_status.Pulse(stall_timeout, start_timeout)
        monitor = Monitor(cluster, met, doing, report)
    return strategy, monitor


def _take_share_of_gpus() -> None:
    """Leaves the GPUs of this node's other tasks to them."""
    seen = tf.config.list_physical_devices("GPU")
    mine = [seen[i] for i in slurm.gpus_of_task(os.environ, len(seen))]
    if mine != seen:
        # runtime.devices has left so many of them.
        asked = len(tf.config.get_visible_devices("GPU"))
        tf.config.set_visible_devices(mine[:asked], "GPU")


def _end_by_sigterm() -> None:
    """Lets SIGTERM end this worker as Ctrl-C does, with a word to the others.

    A training takes both signals over for as long as it has steps to save.
    """

    def end(number, _frame):
        Monitor.told_to_stop = 128 + number
        raise SystemExit(128 + number)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
