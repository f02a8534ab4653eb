"""`--budget 30m`: as many steps as fit into a time, found out by measuring.

The schedule has to know its end before the first step. So a few steps are
timed on a model that is thrown away, the number of steps that fit is chosen,
and the run begins anew with that number: it is the run that the same number
given by hand would be. The number stays in settings.yaml, and a resumed run
takes it from there.
"""

import dataclasses
import logging
import math
import re
import time
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tfbert.errors import UserError
from tfbert.file_names import SETTINGS_FILE
from trainers.distributed.strategies import Distribution
from trainers.files.yaml_files import read_yaml
from trainers.planning.dry_run import EVALUATION_SHARE, Timing, time_steps
from trainers.run.run_setup import full_batches
from trainers.settings.plan import BatchPlan
from trainers.step.replica_sums import sum_over_replicas

_log = logging.getLogger(__name__)

_PART = re.compile(r"(\d+(?:\.\d+)?)([hms])")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}
# The rest is for checkpoints, and for steps that take longer than the median.
USABLE = 0.95


def parse_budget(text: str) -> float:
    """Seconds of a text such as "30m", "1.5h" or "1h30m".

    Raises:
      UserError: it is no such text.
    """
    parts = _PART.findall(text.strip())
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if "".join(map("".join, parts)) != text.strip() or seconds <= 0:
        raise UserError(
            f"wanted a budget such as 90s, 30m, 2h or 1h30m, got {text!r}"
        )
    return seconds


def with_budget(settings, distribution: Distribution, build: Callable):
    """Returns the settings with the steps that fit into `settings.budget`.

    Args:
      settings: of pretraining, with a budget.
      distribution: where it runs.
      build: settings -> (model, make_batches, validation), as a run needs
        them; called once, unless the run folder knows the number.

    Raises:
      UserError: the budget cannot be read, is too short for a step, or is
        not that of the run in the folder.
    """
    seconds = parse_budget(settings.budget)
    steps = steps_of_run(settings)
    if steps is None:
        steps = _measured_steps(settings, distribution, build, seconds)
    optimization = dataclasses.replace(settings.optimization, steps=steps)
    return dataclasses.replace(settings, optimization=optimization)


def steps_of_run(settings) -> int | None:
    """The number of steps that the run in the folder was given.

    Returns:
      None where there is no run.

    Raises:
      UserError: the run has another budget, or none.
    """
    path = Path(settings.runtime.run_dir) / SETTINGS_FILE
    if not path.exists():
        return None
    try:
        saved = read_yaml(path)
        budget, steps = saved.get("budget"), saved["optimization"]["steps"]
    except (UserError, AttributeError, KeyError, TypeError) as error:
        reason = error if isinstance(error, UserError) else repr(error)
        raise UserError(
            f"wanted the settings of a run in {path}, got: {reason}"
        ) from error
    if budget != settings.budget:
        raise UserError(
            f"{path.parent} holds a run of {steps:,} steps with "
            + (f"the budget {budget}" if budget else "no budget")
            + f", got --budget {settings.budget}; give the same one to resume "
            "it, another runtime.run_dir to start anew, or without a budget "
            "another optimization.steps with runtime.allow_change"
        )
    _log.info(f"Budget {budget}: {steps:,} steps, as this run began")
    return int(steps)


def _measured_steps(settings, distribution, build, seconds: float) -> int:
    """Times steps and chooses; all workers get the chief's number."""
    start = time.perf_counter()
    optimization = settings.optimization
    plan = optimization.batch_plan
    provisional = dataclasses.replace(optimization, steps=10**6, warmup_steps=0)
    model, make_batches, validation = build(
        dataclasses.replace(settings, optimization=provisional)
    )
    # Batches behind the ramp: the largest.
    timing = time_steps(model, make_batches(max(plan.changes, default=0)))
    spent = time.perf_counter() - start
    steps = steps_that_fit(
        seconds - spent - timing.first,
        timing,
        plan,
        optimization.batch_size,
        settings.runtime.evaluate_every,
        full_batches(validation, settings, distribution),
    )
    steps = chiefs_value(distribution, steps)
    if steps < 1:
        raise UserError(
            f"a budget of {settings.budget} is too short: compiling and timing "
            f"took {spent:.0f} s and a step takes {timing.step:.3g} s; give "
            "more time or a smaller model"
        )
    _log.info(
        f"Budget {settings.budget}: {steps:,} steps, from "
        f"{timing.step:.3g} s a step (the first one {timing.first:.3g} s) and "
        f"{spent:.0f} s spent on finding out"
    )
    return steps


def steps_that_fit(
    seconds: float,
    timing: Timing,
    plan: BatchPlan,
    batch_size: int,
    evaluate_every: int,
    validation_steps: float,
) -> int:
    """The number of steps for a time, evaluations included.

    Args:
      seconds: what is left after compiling.
      timing: of a step with `batch_size` rows.
      plan: sizes of the batches; a step takes as long as it has rows.
      batch_size: rows of the timed step.
      evaluate_every: steps between evaluations.
      validation_steps: of one evaluation, in batches of training; 0: there
        is none.
    """
    evaluation = validation_steps * timing.step * EVALUATION_SHARE
    # That before the first step, and that after the last one.
    left = seconds * USABLE - 2 * evaluation
    each = timing.step + evaluation / evaluate_every
    rows = math.floor(max(left, 0.0) / each * batch_size)
    steps = plan.steps_for(rows)
    return steps if plan.first_row(steps) <= rows else steps - 1


def chiefs_value(distribution: Distribution, value: int) -> int:
    """The chief's value, on all workers."""
    if distribution.num_workers == 1:
        return value

    @tf.function(autograph=False)
    def share(value):
        def on_replica(value):
            context = tf.distribute.get_replica_context()
            first = context.replica_id_in_sync_group == 0
            mine = tf.where(first, value, 0.0)
            return sum_over_replicas(mine)

        shared = distribution.strategy.run(on_replica, args=(value,))
        return distribution.strategy.experimental_local_results(shared)[0]

    return int(share(tf.constant(float(value))))
