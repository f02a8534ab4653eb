"""`tfbert report RUN_DIR`: one HTML page about a run.

The page is made from the files of the run's folder alone; no model is loaded
and nothing is computed anew. It needs no other file and no network.
"""

import sys
from pathlib import Path

from tfbert import files
from tfbert.errors import UserError
from tfbert.file_names import METRICS_FILE, REPORT_FILE
from trainers import command
from trainers.files.console import console
from trainers.files.run_folder import RunFolder
from trainers.reports import errors, figures, page, plots, tables

CAPTIONS = {
    "loss": "Training: the mean of each logged interval, weighted by the "
    "number of predictions (faint), and a moving average of it. Held out: the "
    "mean over all held-out predictions.",
    "masked-lm-accuracy": "Share of masked tokens for which the likeliest "
    "token is the right one.",
    "accuracy": "Share of examples whose likeliest class is the right one.",
    "learning-rate": "At the end of each logged interval.",
    "gradient-norm": "Of the whole gradient, summed over replicas, before "
    "clipping; a dashed line is the limit that it is clipped to.",
    "throughput": "Real tokens (no padding), all replicas together, without "
    "the first step and without validation; the dashed line is the median.",
}


def build_parser() -> command.Parser:
    """The parser of `tfbert report`."""
    parser = command.make_parser(
        "report",
        "Write RUN_DIR/report.html: curves, throughput, evaluations with "
        "their worst errors, data account, settings and environment of a run "
        "on one page.",
        "tfbert report runs/mini",
    )
    parser.add_argument("run_dir", type=str, help="folder of the run")
    parser.add_argument(
        "--output",
        type=str | None,
        default=None,
        help="where to write the page (default: RUN_DIR/report.html)",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    arguments = build_parser().parse_args(argv)
    path = write_report(arguments.run_dir, arguments.output)
    for figure in figures.headline(RunFolder(arguments.run_dir)):
        note = f" ({figure.note})" if figure.note else ""
        console.print(f"{figure.label}: {figure.value}{note}")
    console.print(f"Report: {path}")


def write_report(run_dir, output=None) -> Path:
    """Writes the report of a run.

    Args:
      run_dir: folder of the run.
      output: path of the page; None: RUN_DIR/report.html.

    Returns:
      path of the page.

    Raises:
      UserError: not a run folder, nothing logged yet, a broken file, or the
        page cannot be written.
    """
    run = RunFolder(run_dir)
    if not run.metrics:
        raise UserError(
            f"{run.path} has no {METRICS_FILE} with a row yet, so there is "
            "nothing to report; wait until the run has logged its first "
            "steps (runtime.log_every)"
        )
    path = Path(output) if output else run.path / REPORT_FILE
    try:
        files.write_file(path, render(run))
    except OSError as error:
        raise UserError(
            f"could not write the report to {path}: {error.strerror}; give "
            "another place with --output"
        ) from error
    return path


def render(run: RunFolder) -> str:
    """The HTML of the report."""
    kind = run.about.get("kind", "")
    name = run.path.resolve().name
    written = max((row.get("time") or 0 for row in run.metrics), default=0)
    subtitle = kind.replace("_", " ").capitalize() or "Run"
    if run.about.get("records"):
        subtitle += f" on {run.about['records']}"
    if written:
        subtitle += f" \u00b7 last logged {tables.moment(written)}"
    sections = [
        ("figures", "", page.cards(figures.headline(run))),
        ("evaluation", "Evaluation", tables.evaluations(run)),
        ("errors", "Errors", errors.section(run.path, run.evaluations)),
        ("curves", "Curves", _curves(run)),
        ("data", "Data", tables.data_account(run)),
        ("settings", "Settings", tables.settings(run)),
        ("environment", "Environment", tables.environment(run)),
        ("checkpoints", "Checkpoints", tables.checkpoints(run)),
    ]
    sections = [section for section in sections if section[2]]
    return page.page(f"Run {name}", subtitle, sections)


def _curves(run: RunFolder) -> str:
    drawn = []
    for plot in figures.plots(run):
        wide = ' class="wide"' if plot.size == plots.WIDE else ""
        caption = CAPTIONS.get(plot.name, "")
        if caption:
            caption = f"<figcaption>{caption}</figcaption>"
        drawn.append(f"<figure{wide}>{plots.draw(plot)}{caption}</figure>")
    return f'<div class="grid">{"".join(drawn)}</div>' if drawn else ""


if __name__ == "__main__":
    sys.exit(command.script(main))
