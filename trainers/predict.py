"""`tfbert predict EXPORT "text"`: asks a SavedModel, as a server would.

A run is asked too, as what `tfbert export` makes of it.

The export is loaded by TensorFlow's C library, as TF Serving does; no code of
the model takes part, nor Python's TensorFlow, which takes seconds to import. A
graph that may do more than compute is not loaded.
"""

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import rich.table
import rich.text

from tfbert.errors import UserError
from tfbert.serving.package import versions
from tfrecords.labelled import multiple_choice
from tfrecords.labelled.files import tables
from tfrecords.labelled.files.table_form import TableForm
from tfrecords.labelled.files.text import read_text
from trainers import command
from trainers.files.console import console
from trainers.files.run_folder import RunFolder, is_run_folder
from trainers.finetuning.kinds.by_name import KINDS
from trainers.reports.served.asking import Asked, Input
from trainers.settings.text_options import add_table, asked_table

EXAMPLE = "tfbert predict exports/reviews 'a warm and funny film'"


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
    parser.add_argument(
        "--file",
        help="ask about the rows of a file too: .txt (a text on each line; for "
        "pairs, a tab between the two), .tsv, .csv or .jsonl",
    )
    parser.add_argument(
        "--text_column",
        action="append",
        default=[],
        help="the file's column, given twice for pairs (default: the names "
        "that the model's training data had)",
    )
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
    add_table(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser().parse_args(_options_last(argv))
    inputs = _given(args.text, args.text_b, args.choice)
    if is_run_folder(Path(args.export)):
        model = load_run(args.export, args.signature)
    else:
        model = load_model(versions.newest_version(args.export), args.signature)
    if args.file:
        columns = args.text_column or model.card.get("text_columns", [])
        read = _read_questions if model.has_choices else _read_file
        given = asked_table(args)
        bad_rows = given.pop("bad_rows", "error")
        reading = tables.Reading(TableForm(**given), bad_rows)
        path = Path(args.file)
        inputs += read(path, columns, len(model.inputs), reading)
    if not inputs:
        raise UserError(f"no text was given.\nExample:  {EXAMPLE}")
    model.check(inputs)
    found = model.answer(inputs)
    if args.json:
        for texts, answer in zip(inputs, found, strict=True):
            row = dict(zip(model.inputs, texts, strict=True)) | answer
            console.show_line(json.dumps(row, ensure_ascii=False))
    else:
        console.show(_table(model, inputs, list(found)))


def load_model(version: Path, signature: str = "serving_default") -> Asked:
    """An export's signature on strings.

    Args:
      version: folder of the SavedModel.
      signature: name of the signature that is asked.

    Raises:
      UserError: the folder holds some other kind of SavedModel.
    """
    from tfbert.serving.package.c_session import Session
    from tfbert.serving.package.operations import check_only_computes

    # A damaged card is told before what takes longer.
    card = versions.read_card(version)
    check_only_computes(version)
    return Asked(Session(version), card, signature, version)


def load_run(run_dir: str, signature: str = "serving_default") -> Asked:
    """What a run's export would be.

    Raises:
      UserError: there is no such run, or signature.
    """
    from trainers.reports.served.exports import ExportOptions
    from trainers.reports.served.session import ServedSession

    run, options = RunFolder(run_dir), ExportOptions()
    kind = run.about.get("kind")
    if kind in KINDS:
        from trainers.finetuning import exporting
        from trainers.finetuning.saved_run import FinetunedRun

        found = FinetunedRun(run_dir)
        trained = found.load_task(options.checkpoint, options.policy)
        servable, card = exporting.served(found, trained, options)
    elif kind == "pretraining":
        from trainers.pretraining import exporting

        servable, card, _ = exporting.served(run, options)
    else:
        raise UserError(
            f"{run_dir}: a run of kind pretraining, {', '.join(KINDS)} was "
            f"wanted, not kind {kind!r}"
        )
    session = ServedSession(servable, signature)
    return Asked(session, card, signature, run_dir)


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


def _read_questions(
    path: Path, columns: Sequence[str], count: int, reading: tables.Reading
) -> list[Input]:
    if len(columns) < count:
        raise UserError(
            f"{path}: the model reads a question and choices; name their "
            "columns with --text_column."
        )
    table, choices = multiple_choice.read_questions(
        path, columns[0], columns[1:], reading
    )
    return list(zip(table.columns[columns[0]], choices, strict=True))


def _read_file(
    path: Path, columns: Sequence[str], count: int, reading: tables.Reading
) -> list[tuple[str, ...]]:
    if path.suffix == ".txt":
        return [
            tuple(line.split("\t", count - 1))
            for line in read_text(path).split("\n")
            if line.strip()
        ]
    if len(columns) != count:
        raise UserError(
            f"{path}: the model reads {count} columns of text; name them "
            f"with --text_column, not {len(columns)}."
        )
    table = tables.read_table(path, columns, reading=reading)
    return list(zip(*(table.columns[name] for name in columns), strict=True))


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
