"""`tfbert predict EXPORT "text"`: asks a SavedModel, as a server would.

A run is asked too, as what `tfbert export` makes of it.

The export is loaded by TensorFlow's C library, as TF Serving does; no code of
the model takes part, nor Python's TensorFlow, which takes seconds to import. A
graph that may do more than compute is not loaded.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import rich.table
import rich.text

from tfbert.errors import UserError
from tfbert.serving.package import versions
from trainers import command
from trainers.files.console import console
from trainers.files.reading_bar import ended_by_sigterm, reading_bar
from trainers.files.run_folder import RunFolder, is_run_folder
from trainers.files.text import duration
from trainers.finetuning.kinds.by_name import KINDS
from trainers.reports.answered_files import answering, windows
from trainers.reports.served.asking import Asked, Input
from trainers.reports.served.model_files import ModelFiles, of_export
from trainers.settings.text_options import add_table, table_reading

EXAMPLE = "tfbert predict exports/reviews 'a warm and funny film'"
_KEPT = "what was answered is kept; give the same command again to go on"


def build_parser() -> command.Parser:
    """The options of `tfbert predict`."""
    parser = command.make_parser(
        "predict",
        "Asks an exported model about text; of a run, what its export would "
        "answer (which starts more slowly).",
        EXAMPLE,
        may_be_addresses=("text", "text_b", "choice"),
    )
    parser.add_argument(
        "export", help="the export folder, or one version; or a run"
    )
    parser.add_argument("text", nargs="*", help="what to ask about")
    parser.add_argument(
        "--text_b",
        "--context",
        dest="text_b",
        action="append",
        default=[],
        help="second sentence or context, for a model of pairs; once for each "
        "text",
    )
    parser.add_argument(
        "--choice",
        action="append",
        default=[],
        help="for a model of multiple choice; once for each choice",
    )
    _add_files(parser)
    parser.add_argument(
        "--signature",
        default="serving_default",
        help="what to ask it: another signature of the export, such as embed "
        "or fill_mask",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object a line, with all probabilities",
    )
    return parser


def _add_files(parser: command.Parser) -> None:
    """Adds which rows of which file are asked about, and where answers go."""
    parser.add_argument(
        "--input",
        help="ask about the rows of a file too: .txt (a text on each line; for "
        "pairs, a tab between the two), .tsv, .csv, .jsonl or .json (a list of "
        "objects), also with .gz, .zst, .bz2 or .xz",
    )
    parser.add_argument(
        "--output",
        help="write the input's rows with their answers to this file, .jsonl, "
        ".csv or .tsv, rather than print them; killed, the same command goes "
        "on where it was",
    )
    parser.add_argument(
        "--batch_size",
        type=int,
        default=64,
        help="rows of the input that the model answers at once",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="processes that answer for --output, each with the model in its "
        "memory and a share of the cores",
    )
    parser.add_argument(
        "--text_column",
        action="append",
        default=[],
        help="the file's column, given twice for pairs (default: the names "
        "that the model's training data had)",
    )
    add_table(parser)


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser().parse_args(_options_last(argv))
    inputs = _given(args.text, args.text_b, args.choice)
    if args.output:
        _answer_file(args, inputs)
        return
    model = files_of_model(args.export, args.signature).load()
    if not inputs and not args.input:
        raise UserError(f"no text was given.\nExample:  {EXAMPLE}")
    of_file = _of_file(args, model) if args.input else ()
    model.check(inputs)
    answers = model.answer(inputs)
    # Of files of any size no more than a window is held, but for a table.
    found = itertools.chain(zip(inputs, answers, strict=True), of_file)
    if args.json:
        for texts, answer in found:
            row = dict(zip(model.inputs, texts, strict=True)) | answer
            console.show_line(json.dumps(row, ensure_ascii=False))
    else:
        console.show(_table(model, *zip(*found, strict=True)))


def _of_file(args: argparse.Namespace, model: Asked) -> Iterator:
    """(texts, their answer) for each row of the input."""
    path = Path(args.input)
    rows = windows.open_rows(path, model, args.text_column, table_reading(args))
    choices = model.choices_column(args.text_column)

    def answered() -> Iterator:
        for window in windows.windows(rows, choices, args.batch_size):
            answers = windows.answers(model, window, args.batch_size, path)
            yield from zip(window.inputs, answers, strict=True)

    return answered()


def _answer_file(args: argparse.Namespace, inputs: Sequence[Input]) -> None:
    """Makes --output."""
    if inputs or not args.input:
        raise UserError(
            "--output is for the rows of a file: give it as --input, and no "
            "texts beside it."
        )
    job = answering.Job(
        model=files_of_model(args.export, args.signature),
        input=Path(args.input),
        output=Path(args.output),
        columns=tuple(args.text_column),
        reading=table_reading(args),
        batch_size=args.batch_size,
        workers=args.workers,
    )
    with ended_by_sigterm(lambda: _KEPT), reading_bar("answering") as bar:
        account = answering.answer_file(
            job, lambda rows: _say_begin(job, rows), bar
        )
    _print_account(job, account)


def _say_begin(job: answering.Job, rows: int) -> None:
    console.print(
        f"{job.output}.part holds the answers to {rows:,} rows; going on "
        "behind them."
        if rows
        else f"Answering {job.input} in {job.output}."
    )


def _print_account(job: answering.Job, account: answering.Account) -> None:
    console.print(f"Read {job.input}: {account.form}.")
    if account.left_out:
        console.print(f"left out, bad rows: {account.left_out:,}")
    for old, new in account.renamed.items():
        console.print(f"The input has a column {old}: the answers' is {new}.")
    new = account.rows - account.before
    speed = f" ({new / account.seconds:,.0f} rows a second)" if new else ""
    console.print(
        f"Answered {new:,} rows in {duration(account.seconds)}{speed}. All "
        f"{account.rows:,} are in {job.output}."
    )


def files_of_model(folder: str, signature: str) -> ModelFiles:
    """The files of an export, or of a run, as they are asked.

    Raises:
      UserError: there is no such export or run.
    """
    if not is_run_folder(Path(folder)):
        return of_export(versions.newest_version(folder), signature)
    kind = RunFolder(folder).about.get("kind")
    # Imported here: an export is asked without Python's TensorFlow.
    if kind in KINDS:
        from trainers.finetuning import exporting
    elif kind == "pretraining":
        from trainers.pretraining import exporting
    else:
        raise UserError(
            f"{folder}: a run of kind pretraining, {', '.join(KINDS)} was "
            f"wanted, not kind {kind!r}"
        )
    return exporting.model_files(folder, signature)


def _options_last(argv: Sequence[str]) -> list[str]:
    """Moves options behind the texts, where argparse wants them.

    `predict EXPORT --json TEXT` would else be an error: a list of texts ends
    at the first option (bpo-14191). After "--" all is text.
    """
    texts, options, rest = [], [], iter(argv)
    for word in rest:
        if word == "--":
            texts += rest
        elif word.startswith("--"):
            options.append(word)
            if word not in ("--json", "--help") and "=" not in word:
                options += itertools.islice(rest, 1)
        elif word == "-h":
            options.append(word)
        else:
            texts.append(word)
    return [*options, "--", *texts]


def _given(
    text_a: Sequence[str], text_b: Sequence[str], choices: list[str]
) -> list[Input]:
    if choices and text_b:
        raise UserError("give --text_b or --choice, not both")
    if choices:
        return [(text, choices) for text in text_a]
    if not text_b:
        return [(text,) for text in text_a]
    if len(text_a) != len(text_b):
        raise UserError(
            f"{len(text_a)} texts but {len(text_b)} for --text_b; each text "
            "needs its own second sentence."
        )
    return list(zip(text_a, text_b, strict=True))


def _table(
    model: Asked, inputs: Sequence[Input], rows: list[dict]
) -> rich.table.Table:
    table = rich.table.Table()
    for name in model.inputs:
        table.add_column(name, overflow="fold")
    for name in model.form.columns:
        table.add_column(name, overflow="fold")
    for texts, row in zip(inputs, rows, strict=True):
        cells = model.form.cells(row)
        texts = [t if isinstance(t, str) else " | ".join(t) for t in texts]
        table.add_row(*map(_plain, texts), *map(_plain, cells))
    return table


def _plain(text: str) -> rich.text.Text:
    """Text as it is: no markup, and what is no character shown as \\ufffd."""
    readable = text.encode("utf-8", "surrogateescape")
    return rich.text.Text(readable.decode("utf-8", "replace"))


if __name__ == "__main__":
    sys.exit(command.script(main))
