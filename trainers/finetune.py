"""`tfbert finetune`: learns a task from labelled data."""

import dataclasses
import functools
import json
import statistics
import sys
from pathlib import Path

import rich.table

from tfbert import atomic
from tfbert.errors import UserError
from trainers import command
from trainers.config import add_settings, parse_settings
from trainers.distribution import Distribution, distribution_of
from trainers.finetuning.kinds import find_kind
from trainers.finetuning.settings import (
    FinetuningSettings,
    check_kind,
    resolve,
)

SUMMARY_FILE = "summary.json"


def build_parser() -> command.Parser:
    """The parser of `tfbert finetune`."""
    parser = command.make_parser(
        "finetune",
        "Fine-tunes a pretrained encoder (or one with random weights) for a "
        "task: labels of sentences or pairs of sentences, and the others of "
        "--task. The same command again resumes from the newest checkpoint.",
        "tfbert finetune --config trainers/configs/finetune_mr_polarity.yaml "
        "--model.init_from runs/mini --runtime.run_dir runs/reviews",
    )
    add_settings(parser, FinetuningSettings)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    settings = parse_settings(build_parser(), FinetuningSettings, argv)
    if settings.seeds < 1:
        raise UserError(f"wanted seeds above 0, got {settings.seeds}")
    find_kind(settings.task)
    with distribution_of(settings) as distribution:
        if settings.seeds == 1 or settings.dry_run:
            finetune(settings, distribution)
        else:
            repeat(settings, distribution)


def finetune(
    settings: FinetuningSettings, distribution: Distribution
) -> dict[str, float]:
    """Fine-tunes; returns what the best weights reached.

    Returns:
      dict with "step" (of the best weights), and where there are such files
      "validation_NAME" and "test_NAME" of each figure of the task.

    Raises:
      UserError: settings, data, run folder or weights do not fit together.
    """
    # Imported here: --help and a misspelt setting should not wait for the
    # model code and its TensorFlow start-up.
    from trainers import training
    from trainers.finetuning.data import load_data
    from trainers.finetuning.model import JudgedModel

    data = load_data(settings)
    config = settings.model.encoder_config(data.tokenizer.vocab_size)
    check_kind(data.kind, settings.data, config)
    settings = resolve(settings, len(data.train))
    training.check_settings(settings, distribution)
    if not settings.dry_run:
        _open_run(settings, config, data, distribution)
    if distribution.is_chief:
        _describe(settings, config, data, distribution)
    model = training.make_model(
        lambda: data.kind.make_task(
            config, settings.runtime.dtype, settings.seed
        ),
        settings,
        distribution,
        JudgedModel,
    )
    _judge(model, data)
    training.initialise(
        model, settings.model.init_from, data.tokenizer.vocabulary
    )
    batches = functools.partial(data.training_batches, settings, distribution)
    validation = data.validation_batches(settings, distribution)
    if settings.dry_run:
        from trainers import dry_run

        return dry_run.show(model, settings, distribution, batches, validation)
    run_dir = Path(settings.runtime.run_dir)
    metric = settings.data.metric or data.kind.best_metric
    reached = training.train(
        model,
        settings,
        distribution,
        batches,
        validation,
        title="fine-tuning",
        callbacks=_keep_best(run_dir, distribution, metric),
        row_ids=data.row_ids(settings),
    )
    if not distribution.is_chief:
        return {"step": reached["step"]}
    return _report(settings, run_dir, reached["step"])


def _open_run(settings, config, data, distribution: Distribution) -> None:
    """Makes or re-opens the run's folder with all that describes the run."""
    from trainers import training

    run_dir = training.open_run(settings, data.about(), distribution)
    if distribution.is_chief:
        config.to_json(run_dir / "config.json")
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


def _keep_best(run_dir: Path, distribution: Distribution, metric: str) -> list:
    from trainers.best import KeepBest

    return [KeepBest(run_dir, metric)] if distribution.is_chief else []


def _describe(settings, config, data, distribution) -> None:
    """Prints what will be done."""
    optimization = settings.optimization
    start = settings.model.init_from or "random weights"
    parts = [f"{data.num_examples:,} examples of {settings.data.train}"]
    if data.validation is not None:
        parts.append(f"{len(data.validation_examples):,} for validation")
    command.console.print(
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
    for line in data.account():
        command.console.print(line)


def _report(settings, run_dir: Path, last_step: int) -> dict[str, float]:
    """Prints and returns what the best weights of a finished run reach."""
    from trainers import evaluate
    from trainers.best import BEST_FILE, read_best

    reached = {"step": last_step}
    if (run_dir / BEST_FILE).exists():
        values = read_best(run_dir / BEST_FILE)
        reached = {"step": int(values.pop("step"))}
        reached |= {f"validation_{name}": v for name, v in values.items()}
        shown = ", ".join(f"{name} {v:.4f}" for name, v in values.items())
        command.console.print(
            f"Best at step {reached['step']}: validation {shown}"
        )
    if settings.data.test:
        result = evaluate.evaluate(run_dir, settings.data.test)
        reached |= {f"test_{name}": v for name, v in result.figures.items()}
        command.console.print(
            f"Test: {result.summary()}; `tfbert evaluate {run_dir} --data "
            f"{settings.data.test}` shows more"
        )
    command.console.print(f"Run folder: {run_dir}")
    return reached


def repeat(
    settings: FinetuningSettings, distribution: Distribution
) -> dict[str, dict[str, float]]:
    """Fine-tunes once for each seed; writes RUN_DIR/summary.json.

    Seed s has the run folder RUN_DIR/seed-s; seeds that are finished are not
    trained again.

    Returns:
      value -> "mean", "standard_deviation" (of a sample), "least", "most".
    """
    import keras

    run_dir = Path(settings.runtime.run_dir)
    runs = {}
    for seed in range(settings.seed, settings.seed + settings.seeds):
        folder = run_dir / f"seed-{seed}"
        command.console.print(f"Seed {seed}", style="bold")
        runs[seed] = finetune(
            dataclasses.replace(
                settings,
                seed=seed,
                seeds=1,
                runtime=dataclasses.replace(
                    settings.runtime, run_dir=str(folder)
                ),
            ),
            distribution,
        )
        # Frees the graph and the weights of the run that is over.
        keras.backend.clear_session()
    spread = {
        name: _spread([run[name] for run in runs.values()])
        for name in runs[settings.seed]
    }
    if distribution.is_chief:
        summary = {"seeds": runs, "spread": spread}
        atomic.write_file(
            run_dir / SUMMARY_FILE, json.dumps(summary, indent=2) + "\n"
        )
        command.console.print(_table(runs, spread))
        command.console.print(f"written: {run_dir / SUMMARY_FILE}")
    return spread


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "mean": statistics.fmean(values),
        "standard_deviation": statistics.stdev(values),
        "least": min(values),
        "most": max(values),
    }


def _table(runs: dict, spread: dict) -> rich.table.Table:
    table = rich.table.Table(title=f"{len(runs)} seeds")
    table.add_column("")
    for seed in runs:
        table.add_column(f"seed {seed}", justify="right")
    table.add_column("mean", justify="right")
    table.add_column("standard deviation", justify="right")
    for name, values in spread.items():
        table.add_row(
            name.replace("_", " "),
            *(f"{run[name]:.4f}" for run in runs.values()),
            f"{values['mean']:.4f}",
            f"{values['standard_deviation']:.4f}",
        )
    return table


if __name__ == "__main__":
    sys.exit(command.run(main))
