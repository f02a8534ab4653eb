"""`tfbert export RUN_DIR --output NAME`: a SavedModel that takes raw text."""

import dataclasses
import os
import sys
from pathlib import Path

from tfbert.errors import UserError
from tfbert.serving.graphs import request_bounds
from tfbert.text.windows.long_texts import HOW
from trainers import command
from trainers.files.console import console, working
from trainers.files.text import size
from trainers.finetuning.kinds.by_name import KINDS

EXAMPLE = "tfbert export runs/reviews --output exports/reviews"
_LIMITS = {
    "max_text_bytes": "bytes that are read of a text whose words or roles are "
    "labelled",
    "max_context_bytes": "bytes that are read of a question's context",
    "max_predicates": "predicates that are answered of a text, the first ones",
    "max_masks": "masks that fill_mask answers of a text, the first ones",
    "max_windows": "windows that are read of a text that is longer than a row, "
    "the first ones, of a run with data.long_texts windows (default: its "
    "data.max_windows)",
    "refuse_longer": "refuse a request with a text of which not all is read, "
    "by an error that names the bound",
}


def build_parser() -> command.Parser:
    """The options of `tfbert export`."""
    parser = command.make_parser(
        "export",
        "Writes the next version of a SavedModel that takes raw text and "
        "loads into TF Serving: labels and probabilities from a fine-tuned "
        "run; sentence embeddings, and what may stand at [MASK], from a "
        "pretraining run.",
        EXAMPLE,
        may_be_addresses=("licence",),
    )
    parser.add_argument("run_dir", help="folder of a run")
    parser.add_argument(
        "--output",
        required=True,
        help="folder of the export; the version goes into OUTPUT/1, then "
        "OUTPUT/2, ...",
    )
    parser.add_argument(
        "--checkpoint",
        choices=("best", "last"),
        default="best",
        help="best on validation data, or the last",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="of the arithmetic in the exported graph",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="of the weights in the file; the arithmetic stays as --precision "
        "says. What it costs is measured on the run's validation file, "
        "printed and written into MODEL_CARD.md",
    )
    parser.add_argument(
        "--pooling",
        choices=("mean", "cls", "max"),
        default=None,
        help="what the embeddings of a pretraining run are: the mean over "
        "all tokens, the vector of [CLS], or the largest values; by default "
        "that of the sentence-transformers folder that it was converted from, "
        "or mean",
    )
    _add_answers(parser)
    return parser


def _add_answers(parser: command.Parser) -> None:
    """Adds what the export answers, and under which terms."""
    parser.add_argument(
        "--calibrate",
        type=bool,
        default=True,
        help="of a fine-tuned run: probabilities with the temperature that "
        "validation found; the answers are the same",
    )
    parser.add_argument(
        "--long_texts",
        choices=HOW,
        help="of the vectors of a pretraining run: texts that are longer than "
        "a row are read whole in windows, or cut to their head (the default) "
        "or to head and tail; a fine-tuned run is served as it was trained",
    )
    for name, default in dataclasses.asdict(request_bounds.DEFAULT).items():
        kind = bool if isinstance(default, bool) else int
        parser.add_argument(
            f"--{name}", type=kind, default=default, help=_LIMITS[name]
        )
    parser.add_argument(
        "--licence",
        help="terms under which the model may be used, for MODEL_CARD.md",
    )


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    args = build_parser().parse_args(argv)
    limits = {name: getattr(args, name) for name in _LIMITS}
    with working(f"Exporting {args.run_dir}: weights, graphs, warm-up"):
        target = write_export(
            args.run_dir,
            args.output,
            args.checkpoint,
            args.precision,
            args.pooling,
            args.licence,
            args.dtype,
            request_bounds.Limits(**limits),
            args.calibrate,
            args.long_texts,
        )
    found = sum(p.stat().st_size for p in target.rglob("*") if p.is_file())
    console.print(
        f"written: {target} ({size(found)})\n"
        f"how to serve and ask it: {target / 'README.md'}\n"
        f"Next: tfbert predict {args.output} 'some text'"
    )


def write_export(
    run_dir: str | os.PathLike,
    output: str | os.PathLike,
    checkpoint: str = "best",
    precision: str = "float32",
    pooling: str | None = None,
    licence: str | None = None,
    dtype: str = "float32",
    most: request_bounds.Limits = request_bounds.DEFAULT,
    calibrate: bool = True,
    long_texts: str | None = None,
) -> Path:
    """Exports a run; returns the folder of the new version.

    Raises:
      UserError: no such run, no checkpoint, or `output` is in use.
    """
    from tfbert.serving.package import versions
    from trainers.files.run_folder import RunFolder
    from trainers.reports.served.exports import ExportOptions

    versions.check_output(Path(output))
    options = ExportOptions(
        checkpoint,
        precision,
        dtype,
        pooling,
        licence,
        most,
        calibrate,
        long_texts,
    )
    run = RunFolder(run_dir)
    kind = run.about.get("kind")
    if kind in KINDS:
        from trainers.finetuning import exporting
        from trainers.finetuning.saved_run import FinetunedRun

        return exporting.write_export(FinetunedRun(run_dir), output, options)
    if kind == "pretraining":
        from trainers.pretraining import exporting

        return exporting.write_export(run, output, options)
    raise UserError(
        f"{run_dir}: a run of kind pretraining, {', '.join(KINDS)} was "
        f"wanted, not kind {kind!r}"
    )


if __name__ == "__main__":
    sys.exit(command.script(main))
