"""A run that leaves another one at a checkpoint, to decay from there.

What a run with the schedule `stable_decay` does before its decay does not
depend on where it ends. So any checkpoint of it can be ended: a branch takes
the checkpoint into a run of its own, whose decay begins there (Hägele et al.
2024). It is the run that would have been made with as many steps from the
start.
"""

import dataclasses
import itertools
import json
import logging
import shutil
from pathlib import Path

from tfbert import files
from tfbert.errors import UserError
from tfbert.file_names import METRICS_FILE, SETTINGS_FILE
from tfbert.optimizers.schedules import DECAY_SHARE, decay_steps
from trainers.checkpoints.checkpoints import Checkpoints
from trainers.distributed.strategies import Distribution
from trainers.files.rollbacks import Rollbacks
from trainers.files.run_folder import parse_metrics
from trainers.files.yaml_files import read_yaml
from trainers.settings.same_run import check_same_run
from trainers.settings.stages import Stage, steps_of_stages

SCHEDULE = "stable_decay"

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Branch:
    """Where a run comes from.

    Attributes:
      source: folder of the run that it leaves.
      step: the checkpoint.
    """

    source: Path
    step: int


def branch_of(settings) -> tuple[object, Branch | None]:
    """The settings of the branch that `settings.branch` asks for.

    Args:
      settings: of the run that it leaves, with `branch`.

    Returns:
      (settings with another run_dir and number of steps, where it comes
      from); (settings, None) where no branch is asked for.

    Raises:
      UserError: there is no such run or checkpoint, or it cannot be ended.
    """
    if settings.branch is None:
        return settings, None
    source, step = Path(settings.runtime.run_dir), settings.branch
    saved = _saved(settings, source)
    optimization = settings.optimization
    if optimization.schedule != SCHEDULE:
        raise UserError(
            f"a branch leaves a run with optimization.schedule {SCHEDULE}, "
            f"got {optimization.schedule}, whose rate falls from the start"
        )
    warmup, total = (int(saved[name]) for name in ("warmup_steps", "steps"))
    share = optimization.decay_share or DECAY_SHARE
    begins = total - decay_steps(share, total)
    if not warmup <= step <= begins:
        raise UserError(
            f"wanted a branch at a step from {warmup:,} to {begins:,}, behind "
            f"warm-up and before the decay of {source}, got {step:,}"
        )
    _check_checkpoint(source, step)
    steps = total_steps(step, share)
    stages = [Stage(**stage) for stage in saved.get("stages") or ()]
    optimization = dataclasses.replace(
        optimization,
        steps=steps,
        warmup_steps=warmup,
        warmup_share=None,
        warmup_tokens=None,
        stages=_stages(stages, total, step, steps) or None,
    )
    runtime = dataclasses.replace(
        settings.runtime, run_dir=f"{source}-branch-{step}"
    )
    settings = dataclasses.replace(
        settings,
        optimization=optimization,
        runtime=runtime,
        budget=None,
        branch=None,
    )
    return settings, Branch(source, step)


def total_steps(step: int, share: float) -> int:
    """The steps of a run whose decay, a share of them, begins at `step`."""
    steps = step + 1
    while steps - decay_steps(share, steps) < step:
        steps += 1
    return steps


def take_over(
    branch: Branch, run_dir: Path, distribution: Distribution
) -> None:
    """Copies what the branch begins with; a branch that has begun is left.

    The curve up to the checkpoint and the batches that were left out come
    along.
    """
    begun = Checkpoints(run_dir).steps()
    if distribution.is_chief and not begun:
        there = Checkpoints(branch.source).path(branch.step)
        here = Checkpoints(run_dir).path(branch.step)
        _copy_metrics(branch, run_dir)
        _copy_rollbacks(branch, run_dir)
        here.parent.mkdir(parents=True, exist_ok=True)
        with files.folder(here) as folder:
            shutil.copytree(there, folder, dirs_exist_ok=True)
        _log.info(f"A branch of {branch.source} at step {branch.step:,}")
    # None looks for a checkpoint before it is there.
    distribution.agree("the start of the branch", dict)


def _saved(settings, source: Path) -> dict:
    """The section `optimization` of the run that is left."""
    if settings.budget is not None:
        raise UserError(
            "a branch is as long as its decay asks for; leave out --budget"
        )
    path = source / SETTINGS_FILE
    if not path.is_file():
        raise UserError(
            f"wanted a run in runtime.run_dir to branch from, got {source}, "
            f"which has no {SETTINGS_FILE}"
        )
    saved = read_yaml(path)
    found = saved["optimization"]
    known = {name: found[name] for name in ("steps", "warmup_steps")}
    if saved.get("budget") and found.get("stages"):
        known["stages"] = [Stage(**stage) for stage in found["stages"]]
    known = dataclasses.replace(settings.optimization, **known)
    check_same_run(dataclasses.replace(settings, optimization=known), source)
    return found


def _check_checkpoint(source: Path, step: int) -> None:
    steps = Checkpoints(source).steps()
    if step not in steps:
        raise UserError(
            f"{source} has no checkpoint of step {step:,}; there are those of "
            f"{', '.join(f'{s:,}' for s in steps) or 'no step'} (see "
            "runtime.keep_checkpoints)"
        )


def _stages(
    stages: list[Stage], total: int, step: int, steps: int
) -> list[Stage]:
    """The stages that the run has reached at `step`, the last one longer."""
    if not stages:
        return []
    counts = steps_of_stages(stages, total)
    ends = list(itertools.accumulate(counts))
    reached = next(n for n, end in enumerate(ends) if step < end)
    begin = ends[reached] - counts[reached]
    counts = [*counts[:reached], steps - begin]
    return [
        dataclasses.replace(stage, share=None, steps=count)
        for stage, count in zip(stages, counts, strict=False)
    ]


def _copy_metrics(branch: Branch, run_dir: Path) -> None:
    path = branch.source / METRICS_FILE
    if path.is_file():
        rows = parse_metrics(path.read_text("utf-8", errors="replace"))
        kept = [json.dumps(row) for row in rows if row["step"] <= branch.step]
        files.write_file(run_dir / METRICS_FILE, "\n".join([*kept, ""]))


def _copy_rollbacks(branch: Branch, run_dir: Path) -> None:
    rollbacks = Rollbacks(run_dir)
    there = Rollbacks(branch.source).entries
    rollbacks.entries = [e for e in there if e.at_step <= branch.step]
    if rollbacks.entries:
        rollbacks.save()
