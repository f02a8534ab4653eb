"""Parts of one run that have rows, batches and masks of their own."""

import dataclasses
import math

from tfbert.errors import UserError
from trainers.settings.plan import BatchPlan

# More hidden than this leaves nothing to guess from.
MOST_MASKED = 0.9


@dataclasses.dataclass
class Stage:
    """A part of a run.

    Args:
      share: of the run's steps; with a budget, of its time. All shares add up
        to 1.
      records: folder, or folders that are mixed by their rows; null: as data
        says.
      temperature: of several folders, in the place of data.temperature.
      batch_size: rows in a global batch; null: optimization.batch_size.
      masking_rate: in the place of data.masking.rate.
      steps: they count, whatever the share; a run with a budget keeps here
        what it has found.
    """

    share: float | None = None
    records: str | list[str] | None = None
    temperature: float | None = None
    batch_size: int | None = None
    masking_rate: float | None = None
    steps: int | None = None

    @property
    def source(self) -> tuple:
        """What is read: stages of one source read on in it."""
        folders = self.records
        if isinstance(folders, list):
            folders = tuple(folders)
        return folders, self.temperature


def check_stages(stages: list[Stage]) -> None:
    """Raises UserError for stages that are no parts of a run."""
    if not stages:
        raise UserError(
            "wanted one stage or more in optimization.stages, got none; leave "
            "it out for a run without stages"
        )
    for number, stage in enumerate(stages, start=1):
        where = f"stage {number} of optimization.stages"
        if stage.share is None and stage.steps is None:
            raise UserError(f"wanted share or steps in {where}, got neither")
        _check_positive(where, stage)
        rate = stage.masking_rate
        if rate is not None and not 0 < rate <= MOST_MASKED:
            raise UserError(
                f"wanted a masking_rate above 0 and up to {MOST_MASKED} in "
                f"{where}, got {rate:g}"
            )
    shares = [stage.share for stage in stages if stage.share is not None]
    if shares and len(shares) < len(stages):
        raise UserError(
            "wanted a share in each stage of optimization.stages or steps in "
            "each, got shares in some and steps in others"
        )
    if shares and not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise UserError(
            "wanted shares of optimization.stages that add up to 1, got "
            f"{' + '.join(f'{share:g}' for share in shares)} = "
            f"{sum(shares):g}"
        )


def _check_positive(where: str, stage: Stage) -> None:
    for name in ("share", "temperature", "batch_size", "steps"):
        value = getattr(stage, name)
        if value is not None and not value > 0:
            raise UserError(
                f"wanted a {name} above 0 in {where}, got {value:g}"
            )


def steps_of_stages(stages: list[Stage], total: int) -> list[int]:
    """The steps of each stage of a run of `total` steps.

    Raises:
      UserError: a stage has none, or steps that are given add up to others.
    """
    check_stages(stages)
    given = [stage.steps for stage in stages]
    if None not in given:
        if sum(given) != total:
            raise UserError(
                f"the steps of optimization.stages add up to {sum(given):,}, "
                f"and optimization.steps is {total:,}; give stages a share "
                "each, or make them agree"
            )
        return given
    done, ends = 0.0, [0]
    for stage in stages:
        done += stage.share
        ends.append(round(min(done, 1.0) * total))
    ends[-1] = total
    steps = [end - begin for begin, end in zip(ends, ends[1:], strict=False)]
    if min(steps) < 1:
        number = steps.index(min(steps)) + 1
        raise UserError(
            f"stage {number} of optimization.stages has a share of "
            f"{stages[number - 1].share:g} of {total:,} steps, which is none; "
            "give it a larger share, or train for more steps"
        )
    return steps


def plan_of_stages(
    stages: list[Stage], total: int, batch_size: int
) -> BatchPlan:
    """The plan of a run with stages.

    Raises:
      UserError: as `steps_of_stages`.
    """
    steps = steps_of_stages(stages, total)
    return BatchPlan.of_stages(
        [
            (count, stage.batch_size or batch_size, stage.source)
            for count, stage in zip(steps, stages, strict=True)
        ]
    )
