"""Several runs of one command: seeds with mean and spread, grids of settings.

Every run has a folder of its own, and one that is finished is not trained
again: the same command goes on where it was stopped.
"""

import dataclasses
import itertools
import json
import logging
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich.table

from tfbert import files
from tfbert.errors import UserError
from tfbert.file_names import SUMMARY_FILE, SWEEP_FILE
from trainers.files import exit_status, yaml_files
from trainers.files.console import console
from trainers.files.text import figure_text
from trainers.finetuning.kinds.by_name import find_kind

if TYPE_CHECKING:
    from trainers.distributed.strategies import Distribution

_log = logging.getLogger(__name__)

# (settings, distribution) -> figures by name.
Run = Callable[[object, "Distribution"], dict[str, float]]
# Dotted setting -> values, as they would be given on a command line.
Grid = Mapping[str, Sequence[str]]


def repeat(
    settings, distribution: "Distribution", run: Run
) -> dict[str, dict[str, float]]:
    """Runs once for each seed; writes RUN_DIR/summary.json.

    Seed s has the run folder RUN_DIR/seed-s.

    Returns:
      value -> "mean", "standard_deviation" (of a sample), "least", "most".
    """
    import keras

    from trainers.run.stopping import end_if_told

    run_dir = Path(settings.runtime.run_dir)
    runs = {}
    for seed in range(settings.seed, settings.seed + settings.seeds):
        _log.info(f"Seed {seed}", extra={"style": "bold"})
        folder = str(run_dir / f"seed-{seed}")
        runtime = dataclasses.replace(settings.runtime, run_dir=folder)
        one = dataclasses.replace(settings, seed=seed, seeds=1, runtime=runtime)
        runs[seed] = run(one, distribution)
        end_if_told()
        # Frees the graph and the weights of the run that is over.
        keras.backend.clear_session()
    spread = {
        name: _spread([figures[name] for figures in runs.values()])
        for name in runs[settings.seed]
    }
    if distribution.is_chief:
        summary = {"seeds": runs, "spread": spread}
        files.write_file(
            run_dir / SUMMARY_FILE, json.dumps(summary, indent=2) + "\n"
        )
        console.print(_table_of_seeds(runs, spread))
        _log.info(f"written: {run_dir / SUMMARY_FILE}")
    return spread


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "mean": statistics.fmean(values),
        "standard_deviation": statistics.stdev(values),
        "least": min(values),
        "most": max(values),
    }


def _table_of_seeds(runs: dict, spread: dict) -> rich.table.Table:
    table = rich.table.Table(title=f"{len(runs)} seeds")
    table.add_column("", overflow="fold")
    for seed in runs:
        table.add_column(f"seed {seed}", justify="right", overflow="fold")
    table.add_column("mean", justify="right", overflow="fold")
    table.add_column("standard deviation", justify="right", overflow="fold")
    for name, values in spread.items():
        table.add_row(
            name.replace("_", " "),
            *(figure_text(name, run[name]) for run in runs.values()),
            figure_text(name, values["mean"]),
            figure_text(name, values["standard_deviation"]),
        )
    return table


def read_grid(text: str) -> dict[str, list[str]]:
    """Reads "optimization.learning_rate=[1e-5, 3e-5]; data.max_length=[64]".

    Raises:
      UserError: it has another form.
    """
    return {
        name: [*map(as_text, values)]
        for name, values in read_values(text).items()
    }


def read_values(text: str) -> dict[str, list]:
    """As `read_grid`; the values as YAML has them."""
    grid = {}
    for part in filter(str.strip, text.split(";")):
        name, _, values = (piece.strip() for piece in part.partition("="))
        try:
            found = yaml_files.parse(values, "--sweep")
        except UserError:
            found = None
        if not isinstance(found, list) or not found or name in grid:
            raise UserError(
                "wanted --sweep 'SETTING=[VALUE, VALUE]; SETTING=[...]', each "
                f"setting once, got {part.strip()!r}"
            )
        grid[name] = found
    if not grid:
        raise UserError("wanted --sweep to name a setting, got nothing")
    return grid


def check_swept(names: Iterable[str], more: Sequence[str] = ()) -> None:
    """Refuses a grid over what each of its runs has of its own.

    Args:
      names: of the grid's settings.
      more: others that it cannot be over.

    Raises:
      UserError: it is over one of these.
    """
    for name in names:
        if name in ("runtime.run_dir", "sweep", "dry_run", *more):
            raise UserError(
                f"a sweep cannot be over {name}: all its runs have the same "
                "data, and a folder each in the one of the sweep"
            )


def as_text(value: object) -> str:
    """A value as a command line has it."""
    return value if isinstance(value, str) else json.dumps(value)


def metrics(settings) -> Sequence[str]:
    """The figures that may choose the best of a sweep.

    Raises:
      UserError: there is no validation file to choose by.
    """
    if settings.data.validation is None:
        raise UserError(
            "a sweep chooses by validation data; give data.validation"
        )
    if settings.data.metric is not None:
        return (settings.data.metric,)
    return find_kind(settings.task).metrics


def sweep(
    grid: Grid,
    run_dir: Path,
    metrics: Sequence[str],
    run_one: Callable[[Mapping[str, str], Path], dict],
    is_chief: bool = True,
) -> dict:
    """Runs every combination of a grid; writes RUN_DIR/sweep.json.

    One that diverges, as one of too high a rate does, is noted as failed, and
    the sweep goes on.

    Args:
      grid: what to combine.
      run_dir: folder of the combinations' folders.
      metrics: validation figures, the first that a run has chooses the best;
        higher is better.
      run_one: (values by setting, folder) -> figures by name, or what
        `repeat` returns.
      is_chief: whether to write and show.

    Returns:
      What sweep.json holds: "metric", "runs", "best" (a place in runs). A run
      has "figures", or says why it "failed".

    Raises:
      UserError: all have failed.
    """
    runs = []
    result = {}
    for values in itertools.product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        folder = run_dir / _folder_name(chosen)
        _log.info(f"Sweep: {folder.name}", extra={"style": "bold"})
        found = _figures_or_failure(run_one, chosen, folder)
        runs.append({"settings": chosen, "run_dir": str(folder), **found})
        if is_chief:
            result = _result(runs, metrics)
            # After every run, so that a sweep under way can be looked at.
            files.write_file(
                run_dir / SWEEP_FILE, json.dumps(result, indent=2) + "\n"
            )
    if all("failed" in one for one in runs):
        error = UserError(
            f"all {len(runs)} runs of the sweep have failed; the last: "
            f"{runs[-1]['failed']}"
        )
        error.status = exit_status.DIVERGED
        raise error
    if not is_chief:
        return {}
    key = result["metric"]
    console.print(_table_of_sweep(result))
    best = runs[result["best"]]
    given = " ".join(f"--{n} {v}" for n, v in best["settings"].items())
    _log.info(
        f"best by {key}: {given}\nits run: {best['run_dir']}\n"
        f"written: {run_dir / SWEEP_FILE}"
    )
    return result


def _figures_or_failure(run_one, chosen: Mapping, folder: Path) -> dict:
    """{"figures": ...} of a run, or {"failed": why} of one that diverges."""
    import keras

    from trainers.run.stopping import end_if_told

    try:
        figures = run_one(chosen, folder)
        end_if_told()
        return {"figures": figures}
    except UserError as error:
        # On all workers alike: they see the same numbers.
        if error.status != exit_status.DIVERGED:
            raise
        _log.info(f"{folder.name} has failed, and the sweep goes on: {error}")
        return {"failed": str(error)}
    finally:
        # Frees the graph and the weights of the run that is over.
        keras.backend.clear_session()


def _result(runs: Sequence[Mapping], metrics: Sequence[str]) -> dict:
    """What sweep.json holds of the runs so far."""
    done = [i for i, one in enumerate(runs) if "figures" in one]
    if not done:
        return {"metric": None, "runs": runs, "best": None}
    first = runs[done[0]]["figures"]
    names = (f"validation_{metric}" for metric in metrics)
    key = next(name for name in names if name in first)
    best = max(done, key=lambda i: _mean(runs[i]["figures"][key]))
    return {"metric": key, "runs": runs, "best": best}


def _folder_name(values: Mapping[str, str]) -> str:
    text = ",".join(f"{n.rsplit('.', 1)[-1]}={v}" for n, v in values.items())
    return re.sub(r"[^\w.,=+-]+", "_", text)


def _mean(figure: float | Mapping[str, float]) -> float:
    return figure["mean"] if isinstance(figure, Mapping) else figure


def _shown(name: str, value: float | Mapping[str, float]) -> str:
    if isinstance(value, Mapping):
        deviation = figure_text(name, value["standard_deviation"])
        return f"{figure_text(name, value['mean'])} +- {deviation}"
    return figure_text(name, value)


def _table_of_sweep(result: Mapping) -> rich.table.Table:
    """The runs, the best first."""
    key = result["metric"]
    done = [one for one in result["runs"] if "figures" in one]
    runs = sorted(done, key=lambda one: -_mean(one["figures"][key]))
    failed = [one for one in result["runs"] if "failed" in one]
    table = rich.table.Table(title=f"{len(result['runs'])} runs by {key}")
    for name in runs[0]["settings"]:
        table.add_column(
            name.rsplit(".", 1)[-1], justify="right", overflow="fold"
        )
    for name in (names := list(runs[0]["figures"])):
        table.add_column(
            name.replace("_", " "), justify="right", overflow="fold"
        )
    for one in runs:
        figures = [_shown(name, one["figures"][name]) for name in names]
        table.add_row(*one["settings"].values(), *figures)
    for one in failed:
        table.add_row(*one["settings"].values(), "failed")
    return table
