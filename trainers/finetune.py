"""`tfbert finetune`: classification of sentences and pairs of sentences."""

import dataclasses
import json
import statistics
import sys
from pathlib import Path

import rich.table

from tfbert import atomic
from tfbert.errors import UserError
from trainers import command
from trainers.config import add_settings, parse_settings
from trainers.distribution import Distribution, make_distribution
from trainers.finetuning_settings import (
    FinetuningSettings,
    check_data_settings,
    resolve,
)

SUMMARY_FILE = "summary.json"


def build_parser() -> command.Parser:
    """The parser of `tfbert finetune`."""
    parser = command.make_parser(
        "finetune",
        "Fine-tunes a pretrained encoder (or one with random weights) to "
        "classify sentences or pairs of sentences. The same command again "
        "resumes from the newest checkpoint.",
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
    runtime = settings.runtime
    distribution = make_distribution(
        runtime.strategy, runtime.tpu, runtime.devices
    )
    if settings.seeds == 1:
        finetune(settings, distribution)
    else:
        repeat(settings, distribution)


def finetune(
    settings: FinetuningSettings, distribution: Distribution
) -> dict[str, float]:
    """Fine-tunes; returns what the best weights reached.

    Returns:
      dict with "step" (of the best weights), and where there are such files
      "validation_accuracy", "validation_loss", "test_accuracy", "test_loss".

    Raises:
      UserError: settings, data, run folder or weights do not fit together.
    """
    # Imported here: --help and a misspelt setting should not wait for the
    # model code and its TensorFlow start-up.
    from tfbert.tasks.classification import ClassificationTask
    from trainers import training
    from trainers.finetuned_run import KIND
    from trainers.finetuning_data import load_data

    data = load_data(settings)
    config = settings.model.encoder_config(data.tokenizer.vocab_size)
    check_data_settings(settings.data, config)
    settings = resolve(settings, len(data.train))
    training.check_settings(settings, distribution)
    run_dir = training.open_run(
        settings, {"kind": KIND, **data.about(settings.data)}, distribution
    )
    if distribution.is_chief:
        config.to_json(run_dir / "config.json")
        data.tokenizer.save(run_dir)
        _describe(settings, config, data, distribution)
    model = training.make_model(
        lambda: ClassificationTask(
            config,
            num_classes=len(data.labels),
            dtype=settings.runtime.dtype,
            seed=settings.seed,
        ),
        settings,
        distribution,
    )
    training.initialise(
        model, settings.model.init_from, data.tokenizer.vocabulary
    )
    reached = training.train(
        model,
        settings,
        distribution,
        lambda start: data.training_batches(settings, distribution, start),
        data.validation_batches(settings, distribution),
        title="fine-tuning",
        callbacks=_keep_best(run_dir, distribution),
    )
    if not distribution.is_chief:
        return {"step": reached["step"]}
    return _report(settings, run_dir, reached["step"])


def _keep_best(run_dir: Path, distribution: Distribution) -> list:
    from trainers.best import KeepBest

    return [KeepBest(run_dir)] if distribution.is_chief else []


def _describe(settings, config, data, distribution) -> None:
    """Prints what will be done."""
    optimization = settings.optimization
    start = settings.model.init_from or "random weights"
    parts = [f"{len(data.train):,} examples of {settings.data.train}"]
    if data.validation is not None:
        parts.append(f"{len(data.validation):,} for validation")
    command.console.print(
        f"Fine-tuning {config.num_hidden_layers} layers of "
        f"{config.hidden_size} from {start}: {len(data.labels)} classes, "
        f"{', '.join(parts)}, {data.train.sequence_length} tokens a row\n"
        + distribution.describe(
            optimization.batch_size, optimization.accumulation_steps
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
        reached = {
            "step": int(values["step"]),
            "validation_accuracy": values["accuracy"],
            "validation_loss": values["loss"],
        }
        command.console.print(
            f"Best at step {reached['step']}: validation accuracy "
            f"{values['accuracy']:.4f}, loss {values['loss']:.4f}"
        )
    if settings.data.test:
        result = evaluate.evaluate(run_dir, settings.data.test)
        reached["test_accuracy"] = result.accuracy
        reached["test_loss"] = result.loss
        command.console.print(
            f"Test: accuracy {result.accuracy:.4f}, loss {result.loss:.4f} "
            f"(majority class {result.majority_baseline:.4f}); "
            f"`tfbert evaluate {run_dir} --data {settings.data.test}` shows "
            "it by class"
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
