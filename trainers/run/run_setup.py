"""Before the first step: settings that make sense, and the run folder."""

import json
import logging
from pathlib import Path

from tfbert import files
from tfbert.errors import UserError
from tfbert.file_names import RUN_FILE, SETTINGS_FILE
from tfbert.local_paths import local_path
from trainers.checkpoints.checkpoints import Checkpoints
from trainers.distributed import agreement
from trainers.distributed.strategies import Distribution
from trainers.files import environment
from trainers.files.run_lock import RunLock
from trainers.run import own_callbacks
from trainers.settings.ranges import check_ranges
from trainers.settings.same_run import check_allowed, check_same_run
from trainers.settings.sections import (
    save_settings,
)

_log = logging.getLogger(__name__)


def check_settings(settings, distribution: Distribution) -> None:
    """Raises UserError for numbers that cannot be trained with."""
    check_ranges(settings)
    own_callbacks.make(settings.runtime.callbacks)
    optimization = settings.optimization
    for size in optimization.batch_plan.sizes:
        distribution.check_batch_size(size, optimization.accumulation_steps)
    if optimization.decay_share is not None and (
        optimization.schedule != "stable_decay"
    ):
        raise UserError(
            "optimization.decay_share is of the schedule stable_decay, got "
            f"{optimization.decay_share:g} with {optimization.schedule}; leave "
            "it out"
        )
    # What is None is left to the plan, which a mistake elsewhere kept back.
    if (optimization.warmup_steps or 0) >= optimization.steps:
        raise UserError(
            f"wanted optimization.warmup_steps from 0 to below "
            f"optimization.steps ({optimization.steps}), got "
            f"{optimization.warmup_steps}"
        )


def evaluation_batch_size(settings, distribution: Distribution) -> int:
    """Rows of a batch in evaluations, over all replicas.

    One micro-batch of training unless it is set: what fits the memory of a
    step fits that of an evaluation.

    Raises:
      UserError: the replicas do not divide it.
    """
    optimization = settings.optimization
    size = settings.runtime.evaluation_batch_size
    if size is None:
        return optimization.batch_size // optimization.accumulation_steps
    replicas = distribution.num_replicas
    if size % replicas:
        raise UserError(
            "wanted runtime.evaluation_batch_size to be a multiple of the "
            f"{replicas} replicas, got {size}"
        )
    return size


def full_batches(validation, settings, distribution: Distribution) -> float:
    """An evaluation in batches as large as those of training.

    Args:
      validation: (dataset, steps), or None.
    """
    if not validation:
        return 0
    rows = validation[1] * evaluation_batch_size(settings, distribution)
    return rows / settings.optimization.batch_size


def open_run(settings, about: dict, distribution: Distribution) -> Path:
    """Makes or re-opens the run's folder.

    Args:
      settings: resolved settings; runtime.run_dir is the folder.
      about: content of run.json. Its "hashes" (a dict, if there is one) say
        what data and vocabulary are; a run with others is refused.
      distribution: only the chief writes.

    Raises:
      UserError: the folder holds something else, or a run with other
        settings or data that has saved something already; another trainer
        is at work in it; it cannot be written; or workers differ in
        settings, data or code.
    """
    distribution.agree(
        "settings, data and code",
        lambda: agreement.run_facts(settings, about),
    )
    run_dir = Path(settings.runtime.run_dir)
    check_run_folder(settings, about, distribution)
    if distribution.is_chief:
        try:
            _write_about(settings, about, distribution, run_dir)
        except OSError as error:
            raise UserError(
                f"cannot write the run folder {run_dir}: "
                f"{error.strerror or error}; give a runtime.run_dir that can "
                "be written, with some space"
            ) from error
    return run_dir


def check_run_folder(settings, about: dict, distribution: Distribution) -> None:
    """Raises UserError if the folder is not for this run; writes nothing.

    Args:
      settings, about, distribution: see open_run.
    """
    run_dir = local_path(settings.runtime.run_dir, "runtime.run_dir")
    check_allowed(settings)
    _check_folder(run_dir, distribution)
    RunLock(run_dir, distribution.is_chief, _log.info).refuse_if_held()
    checkpoints = Checkpoints(
        run_dir,
        facts=run_facts(settings, about),
        allowed=settings.runtime.allow_change,
    )
    if checkpoints.steps():
        check_same_run(settings, run_dir)
        checkpoints.check_run()


def run_facts(settings, about: dict) -> dict:
    """What checkpoints say of their run, and are compared with."""
    optimization = settings.optimization
    return {
        "seed": settings.seed,
        "optimization.batch_size": optimization.batch_size,
        "optimization.optimizer": optimization.optimizer,
        **about.get("hashes", {}),
    }


def _check_folder(run_dir: Path, distribution: Distribution) -> None:
    if run_dir.exists() and not run_dir.is_dir():
        raise UserError(f"wanted a folder for the run, got the file {run_dir}")
    if run_dir.is_dir() and not (run_dir / SETTINGS_FILE).exists():
        others = [path.name for path in run_dir.iterdir()]
        others = [n for n in others if not n.startswith(files.TEMPORARY_PREFIX)]
        if others and distribution.num_workers == 1:
            raise UserError(
                f"wanted an empty folder or a run in runtime.run_dir, got "
                f"{run_dir} with {sorted(others)[0]!r} and no {SETTINGS_FILE}; "
                "give another folder"
            )


def _write_about(settings, about: dict, distribution, run_dir: Path) -> None:
    text = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
    files.write_file(run_dir / RUN_FILE, text)
    optimization = settings.optimization
    environment.write(
        run_dir,
        strategy=distribution.describe(
            optimization.batch_size, optimization.accumulation_steps
        ),
    )
    # Last: a folder with this file is a run that can be resumed.
    save_settings(settings, run_dir)
