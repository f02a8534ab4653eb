"""The settings of pretraining, and how blanks in them are filled."""

import dataclasses

from trainers.pretraining.data import PretrainingData
from trainers.settings.pretraining_optimization import PretrainingOptimization
from trainers.settings.sections import (
    ModelSettings,
    RuntimeSettings,
    dry_run_setting,
)
from trainers.settings.warmup import with_warmup_steps


@dataclasses.dataclass
class PretrainingSettings:
    """All settings of a pretraining run."""

    model: ModelSettings
    data: PretrainingData
    optimization: PretrainingOptimization
    runtime: RuntimeSettings
    seed: int = dataclasses.field(
        default=0,
        metadata={"help": "of weights, order, masks and dropout (default: 0)"},
    )
    budget: str | None = dataclasses.field(
        default=None,
        metadata={
            "help": "time for the whole run, such as 30m or 2h: steps are "
            "timed, and optimization.steps chosen to fit"
        },
    )
    branch: int | None = dataclasses.field(
        default=None,
        metadata={
            "help": "leave the run in runtime.run_dir at the checkpoint of "
            "this step: the rate decays from there (schedule stable_decay), "
            "in RUN_DIR-branch-STEP"
        },
    )
    dry_run: bool = dry_run_setting()


def with_known_steps(settings, sequence_length: int) -> PretrainingSettings:
    """The settings as a run resolves them, as far as that needs no measuring.

    Steps of a budget are known when the run has begun before.

    Args:
      settings: PretrainingSettings.
      sequence_length: tokens of a row.

    Raises:
      UserError: budget or warm-up make no sense.
    """
    optimization = settings.optimization
    if settings.budget is not None:
        from trainers.planning.budget import (
            parse_budget,
            steps_of_run,
            with_steps,
        )

        parse_budget(settings.budget)
        steps = steps_of_run(settings)
        if steps is None:
            unknown = dataclasses.replace(optimization, warmup_steps=0)
            return dataclasses.replace(settings, optimization=unknown)
        optimization = with_steps(optimization, steps)
    optimization = with_warmup_steps(optimization, sequence_length)
    return dataclasses.replace(settings, optimization=optimization)
