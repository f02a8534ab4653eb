"""`tfbert finetune`: learns a task from labelled data."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tfrecords.batches import mistakes
from trainers import command
from trainers.finetuning import search
from trainers.finetuning.kinds.by_name import find_kind
from trainers.finetuning.settings import FinetuningSettings
from trainers.settings.ranges import check_ranges
from trainers.settings.sections import add_settings, parse_settings

if TYPE_CHECKING:
    from trainers.distributed.strategies import Distribution


def build_parser() -> command.Parser:
    """The parser of `tfbert finetune`."""
    parser = command.make_parser(
        "finetune",
        "Fine-tunes a pretrained encoder (or one with random weights) for a "
        "task: labels of sentences or pairs of sentences, and the others of "
        "--task. The same command again resumes from the newest checkpoint.",
        "tfbert finetune --config trainers/configs/finetune_mr_polarity.yaml "
        "--model.init_from runs/mini --runtime.run_dir runs/reviews",
        may_be_addresses=("runtime.tpu",),
    )
    add_settings(parser, FinetuningSettings)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    argv = sys.argv[1:] if argv is None else argv
    settings = parse_settings(build_parser(), FinetuningSettings, argv)
    check_ranges(settings)
    find_kind(settings.task)
    grid = settings.sweep and search.read_grid(settings.sweep)
    # Imported here and below: --help and a misspelt setting should not wait
    # for TensorFlow's start-up.
    from trainers.distributed.strategies import distribution_of

    with (
        command.stopped_by_signals(),
        distribution_of(settings) as distribution,
        mistakes.raised(),
    ):
        if settings.dry_run:
            _train(settings, distribution)
        elif grid:
            _sweep(grid, argv, settings, distribution)
        else:
            _run(settings, distribution)


def _run(settings: FinetuningSettings, distribution: "Distribution") -> dict:
    """One run, or one for each of several seeds."""
    if settings.seeds == 1:
        return _train(settings, distribution)
    return search.repeat(settings, distribution, _train)


def _train(settings: FinetuningSettings, distribution: "Distribution") -> dict:
    from trainers.finetuning import training

    return training.train(settings, distribution).figures


def _sweep(grid, argv, settings, distribution: "Distribution") -> None:
    """A run for each combination of settings, as if they had been given."""

    def parse(values: Mapping[str, str], folder: Path) -> FinetuningSettings:
        options = {**values, "runtime.run_dir": str(folder), "sweep": "null"}
        given = [f"--{name}={value}" for name, value in options.items()]
        parsed = parse_settings(
            build_parser(), FinetuningSettings, [*argv, *given]
        )
        check_ranges(parsed)
        return parsed

    def run_one(values: Mapping[str, str], folder: Path) -> dict:
        return _run(parse(values, folder), distribution)

    search.check_swept(grid)
    run_dir = Path(settings.runtime.run_dir)
    for name, values in grid.items():
        for value in values:
            # A misspelt setting should not wait for the runs before it.
            parse({name: value}, run_dir)
    metrics = search.metrics(settings)
    search.sweep(grid, run_dir, metrics, run_one, distribution.is_chief)


if __name__ == "__main__":
    sys.exit(command.script(main))
