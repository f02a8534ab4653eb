"""What `finetune` makes of its settings: a run, several, or a plan.

Every run has a folder of its own, and one that is finished is not trained
again: the same call goes on where it was stopped.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tfrecords.batches import mistakes
from trainers.distributed.strategies import Distribution, distribution_of
from trainers.files import new_folder
from trainers.finetuning import in_memory, search, training
from trainers.finetuning.run import Run, columns_of, run_of
from trainers.finetuning.settings import FinetuningSettings
from trainers.run.outcome import OwnParts

# Values of settings by dotted name -> all settings.
MakeSettings = Callable[[Mapping[str, object]], FinetuningSettings]


@dataclasses.dataclass(frozen=True)
class SeedRuns:
    """A run for each of several seeds.

    Attributes:
      runs: seed -> its run. They keep figures and history; weights are read
        from their folders when they are asked, and `model` is None.
      spread: figure -> its "mean", "standard_deviation" (of a sample),
        "least" and "most".
      run_dir: the folder of the runs' folders.
    """

    runs: dict[int, Run]
    spread: dict[str, dict[str, float]]
    run_dir: Path


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A run, or a run for each seed, for each point of a grid.

    Attributes:
      points: of each point "settings" (by dotted name, as text), "run_dir",
        and its "figures" (with seeds their spread) or why it "failed".
      metric: the validation figure that chose.
      best: of the best point, as SeedRuns' runs are; where several workers
        train, None on all but the first.
      run_dir: the folder of the points' folders.
    """

    points: list[dict]
    metric: str | None
    best: "Run | SeedRuns | None"
    run_dir: Path


def trained(
    make_settings: MakeSettings,
    grid: Mapping[str, Sequence],
    data: Mapping[str, object],
    own: OwnParts,
) -> "Run | SeedRuns | Sweep | dict[str, float]":
    """Trains as `finetune` says; see there.

    Args:
      make_settings: gives the settings with other values here and there.
      grid: dotted setting -> values to combine; {}: no sweep.
      data: of train, validation and test what was given.
      own: what stands in the place of ours.
    """
    settings = make_settings({})
    for name, values in grid.items():
        for value in values:
            # A misspelt setting should not wait for the runs before it.
            make_settings({name: value})
    columns = columns_of(None, settings.data)
    with new_folder.for_data(
        settings.runtime.run_dir, settings.dry_run
    ) as folder:
        names = {
            name: in_memory.as_file(value, folder, name, columns)
            for name, value in data.items()
            if value is not None
        }

        def with_files(values: Mapping[str, object]) -> FinetuningSettings:
            made = make_settings(values)
            named = dataclasses.replace(made.data, **names)
            return dataclasses.replace(made, data=named)

        with distribution_of(settings) as distribution, mistakes.raised():
            if settings.dry_run:
                plan = training.train(with_files({}), distribution, own)
                return plan.figures
            if grid:
                return _sweep(with_files, grid, distribution, own)
            return _run(with_files({}), distribution, own)


def _run(
    settings: FinetuningSettings, distribution: Distribution, own: OwnParts
) -> Run | SeedRuns:
    """One run, or one for each of several seeds."""
    if settings.seeds == 1:
        return run_of(settings, distribution, own)
    runs: dict[int, Run] = {}

    def run_one(one: FinetuningSettings, distribution) -> dict[str, float]:
        run = run_of(one, distribution, own)
        # Of many models at once a device has no room.
        run.model = None
        runs[one.seed] = run
        return run.figures

    spread = search.repeat(settings, distribution, run_one)
    return SeedRuns(runs, spread, Path(settings.runtime.run_dir))


def _sweep(
    make_settings: MakeSettings,
    grid: Mapping[str, Sequence],
    distribution: Distribution,
    own: OwnParts,
) -> Sweep:
    settings = make_settings({})
    run_dir = Path(settings.runtime.run_dir)
    values = {
        name: {search.as_text(value): value for value in given}
        for name, given in grid.items()
    }
    runs: dict[str, Run | SeedRuns] = {}

    def run_one(chosen: Mapping[str, str], folder: Path) -> dict:
        given = {name: values[name][text] for name, text in chosen.items()}
        one = make_settings({**given, "runtime.run_dir": str(folder)})
        runs[str(folder)] = run = _run(one, distribution, own)
        if isinstance(run, SeedRuns):
            return run.spread
        run.model = None
        return run.figures

    texts = {name: [*known] for name, known in values.items()}
    result = search.sweep(
        texts, run_dir, search.metrics(settings), run_one, distribution.is_chief
    )
    if not result:
        return Sweep([], None, None, run_dir)
    points, best = result["runs"], result["best"]
    return Sweep(
        points, result["metric"], runs[points[best]["run_dir"]], run_dir
    )
