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
      build: settings -> (model, RunData), as a run needs them; called once,
        unless the run folder knows the number.

    Raises:
      UserError: the budget cannot be read, is too short for a step, or is
        not that of the run in the folder.
    """
    seconds = parse_budget(settings.budget)
    found = steps_of_run(settings)
    if found is None:
        found = _measured_steps(settings, distribution, build, seconds)
    optimization = with_steps(settings.optimization, found)
    return dataclasses.replace(settings, optimization=optimization)


def with_steps(optimization, steps: list[int]):
    """The settings with the steps of each stage, or of the one there is."""
    stages = optimization.stages
    if stages is not None:
        stages = [
            dataclasses.replace(stage, steps=count)
            for stage, count in zip(stages, steps, strict=True)
        ]
    return dataclasses.replace(optimization, steps=sum(steps), stages=stages)


def steps_of_run(settings) -> list[int] | None:
    """The steps that the run in the folder was given, of each stage.

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
        # Without a budget stages keep their shares, and no steps.
        stages = budget and saved["optimization"].get("stages")
        found = [int(stage["steps"]) for stage in stages or ()] or [int(steps)]
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
    wanted = len(settings.optimization.stages or [None])
    if len(found) != wanted:
        raise UserError(
            f"{path.parent} holds a run of {len(found)} stages, got {wanted} "
            "in optimization.stages; give the same ones to resume it, or "
            "another runtime.run_dir to start anew"
        )
    _log.info(f"Budget {budget}: {steps:,} steps, as this run began")
    return found


def _measured_steps(settings, distribution, build, seconds: float) -> list[int]:
    """Times steps and chooses; all workers get the chief's numbers."""
    start = time.perf_counter()
    optimization = settings.optimization
    provisional = dataclasses.replace(optimization, steps=10**6, warmup_steps=0)
    plan = provisional.batch_plan
    model, data = build(dataclasses.replace(settings, optimization=provisional))
    # Of a ramp the batches behind it, the largest; of stages all.
    parts = plan.parts if optimization.stages else plan.parts[-1:]
    timings = [time_steps(model, data.make_batches(p.first)) for p in parts]
    evaluations = [
        full_batches(data.validation_of(part.first), settings, distribution)
        * timing.step
        * EVALUATION_SHARE
        * (optimization.batch_size / part.size)
        for part, timing in zip(parts, timings, strict=True)
    ]
    spent = time.perf_counter() - start
    left = seconds - spent - sum(timing.first for timing in timings)
    every = settings.runtime.evaluate_every
    if optimization.stages:
        shares = [stage.share or 0.0 for stage in optimization.stages]
        steps = steps_of_shares(left, timings, evaluations, shares, every)
    else:
        size = optimization.batch_size
        steps = [
            steps_that_fit(left, timings[0], plan, size, every, evaluations[0])
        ]
    steps = [chiefs_value(distribution, count) for count in steps]
    if min(steps) < 1:
        slowest = max(timing.step for timing in timings)
        raise UserError(
            f"a budget of {settings.budget} is too short: compiling and timing "
            f"took {spent:.0f} s and a step takes {slowest:.3g} s; give "
            "more time or a smaller model"
        )
    each = " and ".join(f"{timing.step:.3g}" for timing in timings)
    first = " and ".join(f"{timing.first:.3g}" for timing in timings)
    _log.info(
        f"Budget {settings.budget}: {sum(steps):,} steps, from {each} s a step "
        f"(the first one {first} s) and {spent:.0f} s spent on finding out"
    )
    return steps


def steps_that_fit(
    seconds: float,
    timing: Timing,
    plan: BatchPlan,
    batch_size: int,
    evaluate_every: int,
    evaluation: float,
) -> int:
    """The number of steps for a time, evaluations included.

    Args:
      seconds: what is left after compiling.
      timing: of a step with `batch_size` rows.
      plan: sizes of the batches; a step takes as long as it has rows.
      batch_size: rows of the timed step.
      evaluate_every: steps between evaluations.
      evaluation: seconds of one; 0: there is none.
    """
    # That before the first step, and that after the last one.
    left = seconds * USABLE - 2 * evaluation
    each = timing.step + evaluation / evaluate_every
    rows = math.floor(max(left, 0.0) / each * batch_size)
    steps = plan.steps_for(rows)
    return steps if plan.rows_before(steps) <= rows else steps - 1


def steps_of_shares(
    seconds: float,
    timings: list[Timing],
    evaluations: list[float],
    shares: list[float],
    evaluate_every: int,
) -> list[int]:
    """The number of steps of each stage for a time, evaluations included.

    Args:
      seconds: what is left after compiling.
      timings: of a step of each stage.
      evaluations: seconds of one in each stage; 0: there is none.
      shares: of the time, for each stage.
      evaluate_every: steps between evaluations.
    """
    # Those before the first step and after the last one.
    left = max(seconds * USABLE - evaluations[0] - evaluations[-1], 0.0)
    return [
        math.floor(left * share / (timing.step + evaluation / evaluate_every))
        for timing, evaluation, share in zip(
            timings, evaluations, shares, strict=True
        )
    ]


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
