"""`tfbert evaluate RUN_DIR --data DATA`: measures a run."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import rich.progress

from tfbert.errors import UserError
from tfbert.file_names import SETTINGS_FILE
from tfrecords.batches import mistakes
from trainers import command
from trainers.files.console import console
from trainers.files.run_folder import RunFolder
from trainers.settings.sections import parse_settings
from trainers.settings.text_options import add_table, asked_table, table_reading

MINIMAL_PAIRS = "minimal_pairs"
EXAMPLE = "tfbert evaluate runs/reviews --data reviews/test.tsv"


def build_parser() -> command.Parser:
    """The options of `tfbert evaluate`."""
    parser = command.make_parser(
        "evaluate",
        "Measures a fine-tuned run on a labelled file, or a pretraining run "
        "on held-out records or on minimal pairs. Writes "
        "RUN_DIR/evaluation-NAME.json, and of labelled files and pairs "
        "RUN_DIR/predictions-NAME.jsonl.",
        EXAMPLE,
    )
    parser.add_argument("run_dir", help="folder of a run")
    parser.add_argument(
        "--data",
        required=True,
        help="a labelled file of the form of the training data, of vectors "
        "also a folder for retrieval (queries.jsonl, corpus.jsonl, qrels/); "
        "of a pretraining run a folder of records, or with --task "
        "minimal_pairs a table of sentence_good and sentence_bad",
    )
    parser.add_argument(
        "--task",
        choices=(MINIMAL_PAIRS,),
        help="of a pretraining run or a converted model: how often the right "
        "sentence of a pair is the likelier one (default: the run's own task)",
    )
    parser.add_argument(
        "--name",
        help="NAME of the result files (default: the data file's, without "
        "its ending)",
    )
    parser.add_argument(
        "--checkpoint",
        choices=("best", "last"),
        default="best",
        help="best on validation data, or the last",
    )
    parser.add_argument(
        "--batch_size",
        type=int,
        default=64,
        help="rows of a forward pass, over all devices",
    )
    parser.add_argument(
        "--devices",
        type=int,
        default=1,
        help="how many GPUs of this host to use; without one, logical CPUs",
    )
    add_table(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    args = build_parser().parse_args(argv)
    if args.batch_size < 1:
        raise UserError(f"wanted a batch_size above 0, got {args.batch_size}")
    if args.devices < 1:
        raise UserError(f"wanted devices from 1, got {args.devices}")
    name = args.name or Path(args.data).stem
    if name != Path(name).name or name in (".", ".."):
        raise UserError(
            f"wanted a NAME for files in {args.run_dir} in --name, such as "
            f"{Path(name).name or 'test'}, got {name!r}, which is a path"
        )
    if args.task == MINIMAL_PAIRS:
        _judge_pairs(args, name)
        return
    if RunFolder(args.run_dir).about.get("kind") == "pretraining":
        _evaluate_pretraining(args, name)
        return
    # TensorFlow starts slowly: --help and mistakes do not wait for it.
    from trainers.finetuning import evaluation

    with mistakes.raised():
        result = evaluation.evaluate(
            args.run_dir,
            args.data,
            args.name,
            args.checkpoint,
            args.batch_size,
            args.devices,
            asked_table(args),
        )
    console.show(result.table(args.data))
    console.show(
        f"step {result.step} on {result.to_dict()['examples']:,} examples: "
        f"{result.summary()}\nwritten: "
        f"{evaluation.evaluation_path(args.run_dir, name)} and "
        f"{evaluation.predictions_path(args.run_dir, name)}\n"
        f"Next: tfbert report {args.run_dir}"
    )


def _evaluate_pretraining(args, name: str) -> None:
    """Measures a pretraining run on held-out records."""
    from trainers import pretrain
    from trainers.distributed.strategies import distribution_on
    from trainers.pretraining import evaluation
    from trainers.pretraining.settings import PretrainingSettings

    settings_file = Path(args.run_dir) / SETTINGS_FILE
    argv = ["--config", str(settings_file)] if settings_file.is_file() else []
    settings = parse_settings(
        pretrain.build_parser(), PretrainingSettings, argv
    )
    with mistakes.raised():
        result = evaluation.evaluate(
            args.run_dir,
            args.data,
            settings,
            distribution_on(args.devices),
            name,
            args.checkpoint,
            args.batch_size,
        )
    console.show(
        f"step {result['step']:,} on {result['examples']:,} rows of "
        f"{args.data}: {evaluation.summary(result)}\n"
        f"written: {Path(args.run_dir) / f'evaluation-{name}.json'}\n"
        f"Next: tfbert report {args.run_dir}"
    )


def _judge_pairs(args, name: str) -> None:
    """Measures a masked LM on pairs of sentences."""
    from trainers.pretraining import minimal_pairs

    if args.devices != 1:
        raise UserError(
            f"minimal pairs are judged on one device, got --devices "
            f"{args.devices}; leave it out"
        )
    with _bar("pairs") as told:
        result = minimal_pairs.measure(
            args.run_dir,
            args.data,
            name,
            args.checkpoint,
            args.batch_size,
            table_reading(args),
            told,
        )
    console.show(minimal_pairs.table(result))
    written = Path(args.run_dir) / f"evaluation-{name}.json"
    # A converted model has no run to report on.
    further = (
        f"\nNext: tfbert report {args.run_dir}" if "step" in result else ""
    )
    console.show(
        f"{minimal_pairs.summary(result)}\nwritten: {written} and "
        f"predictions-{name}.jsonl{further}"
    )


@contextlib.contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, told (done, of how many)."""
    bar = rich.progress.Progress(
        *rich.progress.Progress.get_default_columns(),
        rich.progress.MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


if __name__ == "__main__":
    sys.exit(command.script(main))
