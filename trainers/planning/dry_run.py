"""What a run would need, found out without beginning it: `--dry_run`.

Variables, memory and disk by arithmetic, the time from five steps on real
batches. Nothing is written.
"""

import dataclasses
import logging
import math
import shutil
import statistics
import time
from pathlib import Path

import keras
import numpy as np
import rich.box
import rich.table
import tensorflow as tf

from tfbert.optimizers.decay import decays
from tfbert.optimizers.layer_decay import layer_group, layer_rate
from tfbert.optimizers.moments import MomentOptimizer
from tfrecords import layout
from trainers.distributed.strategies import Distribution
from trainers.files.console import console
from trainers.files.text import duration, figure_text, size
from trainers.planning.memory_estimate import (
    MemoryEstimate,
    activation_bytes,
    block_bytes,
)
from trainers.run.run_data import RunData, Validation
from trainers.run.run_setup import full_batches
from trainers.step.training_model import TrainingModel
from trainers.watching.system_metrics import (
    ModelWork,
    cluster_rate,
    host_memory,
    row_length,
)

_log = logging.getLogger(__name__)

TIMED_STEPS = 5
# A forward pass alone, of forward and backward (watching/model_flops.py).
EVALUATION_SHARE = 1 / 3


@dataclasses.dataclass(frozen=True)
class Timing:
    """Steps on real batches.

    Attributes:
      first: seconds of the first step, which compiles.
      step: median seconds of the others.
      tokens: real tokens of a step, on all replicas.
      predictions: sum of the loss' weights of a step.
    """

    first: float
    step: float
    tokens: float
    predictions: float


def show(
    model: TrainingModel,
    settings,
    distribution: Distribution,
    data: RunData,
    largest: tuple[int, int] | None = None,
) -> dict[str, float]:
    """Prints what a run needs; trains the model for a few steps in memory.

    Args:
      model: from training.make_model.
      settings: with sections optimization and runtime.
      distribution: where it runs; all workers call this.
      data: what the run reads.
      largest: the places, and the pairs of places in attention, of the largest
        micro-batch; None: as the batches' shape says.

    Returns:
      dict with "parameters", "memory_bytes", "disk_bytes", "step_seconds" and
      "seconds".
    """
    stages = _stages(settings, data)
    memory = _largest(model, stages, distribution, largest)
    disk = disk_bytes(memory, settings.runtime)
    timings = [time_steps(model, stage.batches) for stage in stages]
    seconds = [
        predicted_seconds(
            timing, stage.settings, stage.evaluation(distribution)
        )
        for timing, stage in zip(timings, stages, strict=True)
    ]
    parameters = sum(math.prod(v.shape) for v in model.trainable_variables)
    if distribution.is_chief:
        _log.info("\n".join(variables_table(model)))
        _log.info(f"{figure_text('parameters', parameters)} parameters")
        console.print(_memory_table(memory))
        _print_disk(disk, settings.runtime)
        _print_times(model, stages, distribution, timings, seconds)
        _log.info("Dry run: nothing was written.")
    return {
        "parameters": parameters,
        "memory_bytes": memory.total,
        "disk_bytes": disk,
        "step_seconds": timings[-1].step,
        "seconds": sum(seconds),
    }


@dataclasses.dataclass
class _Stage:
    """A stage, as a run of its own: its settings, and what it reads."""

    settings: object
    batches: tf.data.Dataset
    held_out: Validation | None

    def evaluation(self, distribution: Distribution) -> float:
        """What one evaluation takes, in batches of training."""
        return full_batches(self.held_out, self.settings, distribution)


def _stages(settings, data: RunData) -> list[_Stage]:
    """The stages of a run; one, where it has none."""
    optimization = settings.optimization
    if not getattr(optimization, "stages", None):
        return [_Stage(settings, data.make_batches(0), data.validation)]
    plan = optimization.batch_plan
    found = []
    for part, end in zip(
        plan.parts, [*plan.changes, optimization.steps], strict=True
    ):
        own = dataclasses.replace(
            optimization, steps=end - part.first, batch_size=part.size
        )
        own = dataclasses.replace(settings, optimization=own)
        batches = data.make_batches(part.first)
        found.append(_Stage(own, batches, data.validation_of(part.first)))
    return found


def _largest(model, stages, distribution, largest) -> MemoryEstimate:
    """The memory of the stage that takes most."""
    estimates = [
        estimate_memory(
            model, stage.settings, distribution, stage.batches, largest
        )
        for stage in stages
    ]
    return max(estimates, key=lambda estimate: estimate.total)


def variables_table(model: TrainingModel) -> list[str]:
    """A line for each trainable variable, in the model's order, and a head."""
    layers = model.task.config.num_hidden_layers
    rows = [("variable", "shape", "numbers", "decay", "group", "learning rate")]
    learnt = {id(variable) for variable in model.learnt_variables}
    for variable in model.trainable_variables:
        rate = layer_rate(variable.path, layers, model.rule.layer_decay)
        rows.append(
            (
                variable.path.removeprefix(f"{model.task.path}/"),
                " x ".join(map(str, variable.shape)),
                f"{math.prod(variable.shape):,}",
                f"{decay_of(model.optimizer, variable):g}",
                layer_group(variable.path),
                f"x {rate:.3g}" if id(variable) in learnt else "not learnt",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.rjust(width) if column == 2 else text.ljust(width)
            for column, (text, width) in enumerate(
                zip(row, widths, strict=True)
            )
        ).rstrip()
        for row in rows
    ]


def decay_of(optimizer: keras.optimizers.Optimizer, variable) -> float:
    """The weight decay that an optimizer applies to a variable.

    Ours decay in their own step; Keras' have an attribute and exclusions.
    """
    if isinstance(optimizer, MomentOptimizer):
        return optimizer.decay if decays(variable.path) else 0.0
    decay = getattr(optimizer, "weight_decay", None) or 0.0
    return decay if optimizer._use_weight_decay(variable) else 0.0


def estimate_memory(
    model: TrainingModel,
    settings,
    distribution: Distribution,
    batches,
    largest: tuple[int, int] | None = None,
) -> MemoryEstimate:
    """Bytes that training takes on one device.

    Args:
      batches: a dataset of batch dicts; only its shapes are looked at.
      largest: see show.
    """
    optimization = settings.optimization
    replicas = distribution.num_replicas * optimization.accumulation_steps
    positions = batches.element_spec.get(layout.MASKED_LM_POSITIONS)
    predictions = 0
    if positions is not None:
        flat = tf.nest.flatten(positions, expand_composites=True)
        predictions = flat[0].shape[-1]
    recompute = getattr(settings.runtime, "recompute", False)
    config = model.task.config
    width = tf.as_dtype(model.task.compute_dtype).size
    rows = optimization.batch_size // replicas
    if largest is None:
        length = row_length(batches) or 0
        activations = activation_bytes(
            config, rows, length, predictions, width, recompute
        )
    else:
        activations = block_bytes(config, *largest, width, recompute)
    weights = _bytes(model.task.variables)
    average = getattr(model, "average", None)
    return MemoryEstimate(
        weights=weights,
        optimizer=_bytes(model.optimizer.variables),
        gradients=_bytes(model.learnt_variables),
        average=_bytes(average.averages) if average else 0,
        activations=activations,
    )


def disk_bytes(memory: MemoryEstimate, runtime) -> int:
    """What the checkpoints take, the one that is being written included."""
    one = memory.weights + memory.optimizer + memory.average
    kept = runtime.keep_checkpoints + getattr(runtime, "keep_best", 0)
    return one * (kept + 1)


def time_steps(model: TrainingModel, batches, count: int = TIMED_STEPS):
    """Runs and times steps; the weights change.

    Args:
      model: compiled.
      batches: distributed training batches.
      count: calls after the first one.

    Returns:
      a Timing.
    """
    step, iterator = model.make_train_function(), iter(batches)
    seconds = []
    for _ in range(1 + count):
        before = time.perf_counter()
        logs = step(iterator)
        # A value on the host: the step is over.
        tokens, predictions = (
            float(np.asarray(logs[name])) for name in ("tokens", "loss_weight")
        )
        seconds.append(time.perf_counter() - before)
    per_call = model.steps_per_execution
    return Timing(
        first=seconds[0],
        step=statistics.median(seconds[1:]) / per_call,
        tokens=tokens,
        predictions=predictions,
    )


def predicted_seconds(
    timing: Timing, settings, validation_steps: float = 0
) -> float:
    """Seconds from the start to the last step, evaluations included.

    Args:
      validation_steps: of one evaluation, in batches of training; 0: there
        is none.
    """
    steps = settings.optimization.steps
    evaluations = 1 + math.ceil(steps / settings.runtime.evaluate_every)
    forward = timing.step * EVALUATION_SHARE
    return (
        timing.first
        + steps * timing.step
        + evaluations * validation_steps * forward
    )


def _bytes(variables) -> int:
    return sum(
        math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in variables
    )


def _memory_table(memory: MemoryEstimate) -> rich.table.Table:
    table = rich.table.Table(
        title="Memory of one device (estimate, a lower bound)",
        title_justify="left",
        show_header=False,
        box=rich.box.SIMPLE,
    )
    for field in dataclasses.fields(memory):
        value = getattr(memory, field.name)
        if value:
            table.add_row(field.name, str(size(value)))
    table.add_row("together", str(size(memory.total)))
    return table


def _print_disk(needed: int, runtime) -> None:
    folder = Path(runtime.run_dir).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    best = getattr(runtime, "keep_best", 0)
    _log.info(
        f"Disk: {size(needed)} for {runtime.keep_checkpoints} + {best} "
        f"checkpoints and the one being written; {size(free)} free at {folder}"
        + ("" if needed < free else ": TOO LITTLE")
    )


def _print_times(model, stages, distribution, timings, seconds) -> None:
    for number, stage in enumerate(stages):
        if len(stages) > 1:
            _log.info(f"Stage {number + 1} of {len(stages)}:")
        _print_time(
            model, stage, distribution, timings[number], seconds[number]
        )
    if len(stages) > 1:
        _log.info(f"All stages: about {duration(sum(seconds))}")


def _print_time(
    model, stage: _Stage, distribution, timing: Timing, seconds: float
) -> None:
    work = ModelWork(
        model.task.config,
        model.attended or row_length(stage.batches) or 0,
        hasattr(model.task, "masked_lm"),
        cluster_rate(distribution, model.task.compute_dtype),
    )
    speed = timing.tokens / timing.step
    row = {
        "tokens": timing.tokens,
        "loss_weight": timing.predictions,
        "tokens_per_second": speed,
    }
    rate = figure_text("tokens_per_second", speed)
    used = work.utilisation(row)
    _log.info(
        f"Time: {timing.step * 1000:.1f} ms a step (median of {TIMED_STEPS}; "
        f"the first took {timing.first:.1f} s), {rate} tokens/s"
        + (f", MFU {figure_text('mfu', used)}" if used else "")
        + f"; {stage.settings.optimization.steps:,} steps with evaluations: "
        f"about {duration(seconds)}. Host memory now: {size(host_memory())}"
    )
