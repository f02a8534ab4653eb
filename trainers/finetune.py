"""`tfbert finetune`: learns a task from labelled data."""

import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tfbert.errors import UserError
from tfbert.file_names import BEST_FILE, CONFIG_FILE
from tfrecords.batches import mistakes
from trainers import command
from trainers.files.console import console
from trainers.finetuning import search
from trainers.finetuning.kinds.by_name import find_kind
from trainers.finetuning.settings import (
    FinetuningSettings,
    check_kind,
    check_shapes,
    resolve,
)
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

    with distribution_of(settings) as distribution, mistakes.raised():
        if settings.dry_run:
            finetune(settings, distribution)
        elif grid:
            _sweep(grid, argv, settings, distribution)
        else:
            _run(settings, distribution)


def _run(settings: FinetuningSettings, distribution: "Distribution") -> dict:
    """One run, or one for each of several seeds."""
    if settings.seeds == 1:
        return finetune(settings, distribution)
    return search.repeat(settings, distribution, finetune)


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
        import keras

        from trainers.run.stopping import end_if_told

        try:
            figures = _run(parse(values, folder), distribution)
            end_if_told()
            return figures
        finally:
            # Frees the graph and the weights of the run that is over.
            keras.backend.clear_session()

    run_dir = Path(settings.runtime.run_dir)
    for name, values in grid.items():
        for value in values:
            # A misspelt setting should not wait for the runs before it.
            parse({name: value}, run_dir)
    metrics = find_kind(settings.task).metrics
    if settings.data.metric is not None:
        metrics = (settings.data.metric,)
    if settings.data.validation is None:
        raise UserError(
            "a sweep chooses by validation data; give data.validation"
        )
    search.sweep(grid, run_dir, metrics, run_one, distribution.is_chief)


def finetune(
    settings: FinetuningSettings, distribution: "Distribution"
) -> dict[str, float]:
    """Fine-tunes; returns what the best weights reached.

    Returns:
      dict with "step" (of the best weights), and where there are such files
      "validation_NAME" and "test_NAME" of each figure of the task.

    Raises:
      UserError: settings, data, run folder or weights do not fit together.
    """
    from trainers.finetuning.data import load_data
    from trainers.finetuning.freezing import freeze
    from trainers.finetuning.model import JudgedModel
    from trainers.planning import precision
    from trainers.run import api

    data = load_data(settings)
    config = settings.model.encoder_config(data.tokenizer.vocab_size)
    check_kind(data.kind, settings.data, config)
    check_shapes(settings.optimization, distribution)
    settings = resolve(settings, len(data.train))
    data.check_batch(settings.optimization.batch_size)
    settings = precision.resolved(settings, config, distribution)
    api.check_settings(settings, distribution)
    if not settings.dry_run:
        _open_run(settings, config, data, distribution)
    if distribution.is_chief:
        _describe(settings, config, data, distribution)
    model = api.make_model(
        lambda: freeze(
            data.kind.make_task(config, settings.runtime.dtype, settings.seed),
            settings.model.freeze,
        ),
        settings,
        distribution,
        JudgedModel,
    )
    _judge(model, data)
    api.initialise(model, settings.model.init_from, data.tokenizer.vocabulary)
    batches = functools.partial(data.training_batches, settings, distribution)
    validation = data.validation_batches(settings, distribution)
    if settings.dry_run:
        from trainers.planning import dry_run

        return dry_run.show(model, settings, distribution, batches, validation)
    reached = _train(model, settings, distribution, data, batches, validation)
    if not distribution.is_chief:
        return {"step": reached["step"]}
    return _report(settings, Path(settings.runtime.run_dir), reached["step"])


def _train(model, settings, distribution, data, batches, validation) -> dict:
    """Trains; keeps the best weights and ends early, if asked to."""
    from trainers.run import api
    from trainers.run.early_stopping import EarlyStopping

    run_dir = Path(settings.runtime.run_dir)
    metric = settings.data.metric or data.kind.best_metric
    return api.train(
        model,
        settings,
        distribution,
        batches,
        validation,
        title="fine-tuning",
        callbacks=[
            *_keep_best(run_dir, distribution, metric),
            EarlyStopping(settings.runtime.early_stopping, metric),
        ],
        row_ids=data.row_ids(settings),
    )


def _open_run(settings, config, data, distribution: "Distribution") -> None:
    """Makes or re-opens the run's folder with all that describes the run."""
    from trainers.run import api

    run_dir = api.open_run(settings, data.about(), distribution)
    if distribution.is_chief:
        config.to_json(run_dir / CONFIG_FILE)
        data.tokenizer.save(run_dir)


def _judge(model, data) -> None:
    """Lets the kind of task judge validation predictions as a whole."""
    if data.validation is None:
        return

    def judge(outputs):
        result = data.kind.evaluate(
            data.validation_examples, data.validation, outputs, model.step
        )
        return result.figures

    model.judge_by(data.kind.outputs, len(data.validation), judge)


def _keep_best(
    run_dir: Path, distribution: "Distribution", metric: str
) -> list:
    from trainers.checkpoints.best import KeepBest

    return [KeepBest(run_dir, metric)] if distribution.is_chief else []


def _describe(settings, config, data, distribution) -> None:
    """Prints what will be done."""
    optimization = settings.optimization
    start = settings.model.init_from or "random weights"
    parts = [f"{data.num_examples:,} examples of {settings.data.train}"]
    if data.validation is not None:
        parts.append(f"{len(data.validation_examples):,} for validation")
    console.print(
        f"Fine-tuning {config.num_hidden_layers} layers of "
        f"{config.hidden_size} from {start}: {data.kind.describe()}, "
        f"{', '.join(parts)}, {data.train.sequence_length} tokens a row\n"
        + distribution.describe(
            optimization.batch_size,
            optimization.accumulation_steps,
            len(data.train),
        )
        + f"\n{optimization.steps:,} steps = "
        f"{optimization.steps * optimization.batch_size / len(data.train):.2f}"
        f" epochs; run folder {settings.runtime.run_dir}"
    )
    about_batch = data.check_batch(optimization.batch_size)
    for line in [*about_batch, *data.account()]:
        console.print(line)


def _report(settings, run_dir: Path, last_step: int) -> dict[str, float]:
    """Prints and returns what the best weights of a finished run reach."""
    from trainers import evaluate
    from trainers.checkpoints.best import read_best

    reached = {"step": last_step}
    if (run_dir / BEST_FILE).exists():
        values = read_best(run_dir / BEST_FILE)
        reached = {"step": int(values.pop("step"))}
        reached |= {f"validation_{name}": v for name, v in values.items()}
        shown = ", ".join(f"{name} {v:.4f}" for name, v in values.items())
        console.print(f"Best at step {reached['step']}: validation {shown}")
    if settings.data.test:
        result = evaluate.evaluate(run_dir, settings.data.test)
        reached |= {f"test_{name}": v for name, v in result.figures.items()}
        console.print(
            f"Test: {result.summary()}; `tfbert evaluate {run_dir} --data "
            f"{settings.data.test}` shows more"
        )
    console.print(
        f"The run is in {run_dir}. Next: tfbert predict {run_dir} 'some text', "
        f"tfbert export {run_dir} --output exports/{run_dir.name}, or tfbert "
        f"report {run_dir}"
    )
    return reached


if __name__ == "__main__":
    sys.exit(command.script(main))
