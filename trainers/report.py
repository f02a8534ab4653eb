"""`tfbert report RUN_DIR [RUN_DIR ...]`: one HTML page about runs.

The page is made from the files of the runs' folders alone; no model is loaded
and nothing is computed anew. It needs no other file and no network.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from tfbert import files
from tfbert.errors import UserError
from tfbert.file_names import METRICS_FILE, REPORT_FILE
from trainers import command
from trainers.files.console import console
from trainers.files.run_folder import RunFolder
from trainers.reports import figures
from trainers.reports.pages import comparison, one_run, search

COMPARISON_FILE = "comparison.html"


def build_parser() -> command.Parser:
    """The parser of `tfbert report`."""
    parser = command.make_parser(
        "report",
        "Writes one HTML page. Of a run, RUN_DIR/report.html: its figures, "
        "worst errors, curves, data account, settings and environment. Of a "
        "folder of `--seeds` or `--sweep`: spread, best point, curves. Of "
        "several runs, comparison.html: their curves over each other, their "
        "figures side by side, and the settings in which they differ.",
        "tfbert report runs/mini",
    )
    parser.add_argument(
        "run_dirs",
        type=str,
        nargs="+",
        metavar="run_dir",
        help="folder of a run, of --seeds or of --sweep; several folders are "
        "laid over one another",
    )
    parser.add_argument(
        "--output",
        type=str | None,
        default=None,
        help="where to write the page (default: RUN_DIR/report.html; of "
        "several folders comparison.html)",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    arguments = build_parser().parse_args(argv)
    page = make_page(arguments.run_dirs)
    path = _write(page, arguments.output)
    for figure in page.headline:
        note = f" ({figure.note})" if figure.note else ""
        console.print(f"{figure.label}: {figure.value}{note}", markup=False)
    console.print(f"Report: {path}", markup=False)


@dataclasses.dataclass(frozen=True)
class Page:
    """A report that is not written yet.

    Attributes:
      path: where it goes unless it is told otherwise.
      text: HTML.
      headline: what it says first.
    """

    path: Path
    text: str
    headline: list[figures.Figure]


def write_report(
    run_dirs: Sequence[str | Path], output: str | Path | None = None
) -> Path:
    """Writes the report of a run, or of several.

    Args:
      run_dirs: folders of runs, of several seeds or of a sweep.
      output: path of the page; None: report.html in the folder, or of
        several folders comparison.html where the command is given.

    Returns:
      path of the page.

    Raises:
      UserError: not a run folder, nothing logged yet, a broken file, or the
        page cannot be written.
    """
    return _write(make_page(run_dirs), output)


def make_page(run_dirs: Sequence[str | Path]) -> Page:
    """The report of a run, or of several; see `write_report`."""
    if len(run_dirs) > 1:
        runs = [run for folder in run_dirs for run in _runs_of(folder)]
        return Page(Path(COMPARISON_FILE), comparison.render(runs), [])
    [folder] = run_dirs
    if search.is_search(Path(folder)):
        text, headline = search.render(Path(folder))
    else:
        run = _logged(RunFolder(folder))
        text, headline = one_run.render(run), figures.headline(run)
    return Page(Path(folder) / REPORT_FILE, text, headline)


def _write(page: Page, output: str | Path | None) -> Path:
    path = Path(output) if output else page.path
    try:
        files.write_file(path, page.text)
    except OSError as error:
        raise UserError(
            f"could not write the report to {path}: {error.strerror}; give "
            "another place with --output"
        ) from error
    return path


def _runs_of(folder: str | Path) -> list[RunFolder]:
    """A run; of a folder of seeds or of a sweep all that it holds."""
    if search.is_search(Path(folder)):
        return search.runs_in(Path(folder))
    return [_logged(RunFolder(folder))]


def _logged(run: RunFolder) -> RunFolder:
    """The same run, if it has logged anything."""
    if not run.metrics:
        raise UserError(
            f"{run.path} has no {METRICS_FILE} with a row yet, so there is "
            "nothing to report; wait until the run has logged its first "
            "steps (runtime.log_every)"
        )
    return run


if __name__ == "__main__":
    sys.exit(command.script(main))
