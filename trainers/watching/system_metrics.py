"""What a run does with its machine: MFU, memory, age of the checkpoint.

`Vitals` adds these figures to a row that an IntervalMeter gave. All of it is
looked up when a row is due, never in a step; the device's matmul rate is
measured once, when training begins.
"""

import dataclasses
import functools
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import tensorflow as tf

from tfbert.config import BertConfig
from trainers.checkpoints.checkpoints import Checkpoints
from trainers.distributed.strategies import Distribution
from trainers.files.console import warn
from trainers.watching.matmul_rate import matmul_rate
from trainers.watching.model_flops import (
    flops_per_masked_token,
    flops_per_token,
)


@dataclasses.dataclass(frozen=True)
class ModelWork:
    """The operations of a model, and how fast its devices could do them.

    Args:
      config: the encoder's shape.
      sequence_length: tokens of a row, of rows of several lengths the number
        that a token attends to, in the mean.
      masked_lm: whether `loss_weight` counts predictions of masked tokens,
        which are what is read.
      pools: whether the first token of a row alone is read.
      device_rate: matmul rate of all devices together, in FLOP/s.
    """

    config: BertConfig
    sequence_length: float
    masked_lm: bool
    device_rate: float
    pools: bool = False

    def utilisation(self, row: Mapping) -> float | None:
        """Model FLOPs utilisation of an interval, from 0 to 1.

        Only real tokens count: what is spent on padding is lost.

        Args:
          row: with "tokens_per_second", and for a masked-LM "tokens" and
            "loss_weight".
        """
        speed, tokens = row.get("tokens_per_second"), row.get("tokens")
        if not speed or not tokens or not self.device_rate:
            return None
        predictions = 0.0
        read = 1 / self.sequence_length if self.pools else 1.0
        if self.masked_lm:
            read = predictions = (row.get("loss_weight") or 0.0) / tokens
        flops = flops_per_token(self.config, self.sequence_length, read)
        flops += predictions * flops_per_masked_token(self.config)
        return speed * flops / self.device_rate


class Vitals:
    """Adds the machine's figures to the rows of a run.

    Args:
      run_dir: folder of the run; None: the checkpoint's age is left out.
      work: operations and rate; None: MFU is left out.
    """

    def __init__(
        self,
        run_dir: str | os.PathLike | None = None,
        work: ModelWork | None = None,
    ):
        self._checkpoints = run_dir and Checkpoints(run_dir)
        self._gpus = len(tf.config.list_logical_devices("GPU"))
        self.work = work
        self._is_given = work is not None

    def watching(
        self,
        model: keras.Model,
        distribution: Distribution,
        make_batches: Callable[[int], tf.data.Dataset],
    ) -> Callable[[int], tf.data.Dataset]:
        """Returns a `make_batches` that tells these vitals the model's work.

        The matmul rate is measured at its first call, before any step. Stages
        with rows of another length are other work.

        Args:
          model: a TrainingModel.
          distribution: where it runs.
          make_batches: first batch -> batches.
        """

        def make(start: int) -> tf.data.Dataset:
            batches = make_batches(start)
            attended = getattr(model, "attended", None)
            length = attended or row_length(batches)
            known = self.work and self.work.sequence_length
            if length and length != known and not self._is_given:
                self.work = ModelWork(
                    model.task.config,
                    length,
                    masked_lm=hasattr(model.task, "masked_lm"),
                    device_rate=cluster_rate(
                        distribution, model.task.compute_dtype
                    ),
                    pools=getattr(model.task, "pools", False),
                )
            return batches

        return make

    def of(self, row: Mapping) -> dict[str, float]:
        """The figures that go with a row, in floats; unknown ones are absent.

        Returns:
          "mfu" (0 to 1), "host_memory_bytes", "device_memory_bytes" (the most
          on one GPU since the start), "checkpoint_age_seconds".
        """
        found = {
            "mfu": self.work and self.work.utilisation(row),
            "host_memory_bytes": host_memory(),
            "device_memory_bytes": self._device_memory(),
            "checkpoint_age_seconds": self._checkpoint_age(),
        }
        return {n: v for n, v in found.items() if v is not None}

    def _device_memory(self) -> int | None:
        peaks = [
            tf.config.experimental.get_memory_info(f"GPU:{index}")["peak"]
            for index in range(self._gpus)
        ]
        return max(peaks, default=None)

    def _checkpoint_age(self) -> float | None:
        """Seconds since the checkpoint of the highest step was written."""
        if self._checkpoints is None:
            return None
        try:
            steps = self._checkpoints.steps()
            if not steps:
                return None
            written = self._checkpoints.path(steps[-1]).stat().st_mtime
        except OSError:
            return None
        # The clock of a file server may be ahead of ours.
        return max(time.time() - written, 0.0)


def host_memory() -> int | None:
    """Bytes of this process that are in memory now (resident set)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    # No /proc: the most that it has been, in kB but for macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def row_length(batches) -> int | None:
    """Tokens of a row: S of `input_ids` [B, S] in a dataset of dicts.

    None where it is not known.

    Args:
      batches: tf.data.Dataset or tf.distribute.DistributedDataset of dicts.
    """
    specs = getattr(batches, "element_spec", None)
    if not isinstance(specs, Mapping) or "input_ids" not in specs:
        return None
    # Under a strategy a spec holds those of all replicas.
    found = tf.nest.flatten(specs["input_ids"], expand_composites=True)
    return found[0].shape[-1]


def cluster_rate(
    distribution: Distribution, dtype: str, seconds: float = 0.5
) -> float:
    """Matmul rate of all devices that train together, in FLOP/s.

    One device is measured; the others are taken to be like it. Logical CPUs
    of a host share its cores, so each host counts once.

    Args:
      distribution: where it runs.
      dtype: float32, bfloat16 or float16.
      seconds: about how long it may take.

    Returns:
      0.0 where a device cannot run a product by itself, as a TPU outside of
      strategy.run; then there is no MFU.
    """
    found = [k for k in ("TPU", "GPU") if tf.config.list_logical_devices(k)]
    kind = found[0] if found else "CPU"
    count = distribution.num_replicas if found else distribution.num_workers
    try:
        return _rate_of_device(dtype, f"{kind}:0", seconds) * count
    # Whatever a device says to it.
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        warn(f"warning: no MFU is shown: {first[:200]}")
        return 0.0


@functools.cache
def _rate_of_device(dtype: str, device: str, seconds: float) -> float:
    """Of several runs in one process the first measures."""
    return matmul_rate(dtype, device, seconds)
