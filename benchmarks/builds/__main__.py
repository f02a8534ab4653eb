"""Two builds of this project side by side.

    python -m benchmarks.builds --before ../before --cases help predict step

A build is a folder with the three packages, such as `git worktree add ../before
COMMIT` makes; the new one is this checkout, or --new. Each measurement is a
process of its own with this interpreter, the builds take turns (A B A B), and
a figure is the median over the turns. "new/before" is the ratio of the
medians, "in one turn" the least and the largest ratio within a turn: a ratio
that is nearer to 1 than those are to each other says nothing. CPU seconds are
those of all threads and processes, and hardly depend on what else runs.
"""

import argparse
import json
import math
import signal
import sys
import tempfile
from pathlib import Path

import rich.console
import rich.table

from benchmarks.builds import machine, made_data
from benchmarks.builds.cases import CASES, NEEDS
from benchmarks.builds.checkout import BENCHMARKS, Checkout, Failed
from benchmarks.builds.comparison import Row, Value, compare
from benchmarks.builds.prepared import Prepared

# Wide enough for the names of all figures where output is no terminal.
WIDTH = 110


def main(argv: list[str] | None = None) -> int:
    """Measures and prints; returns 1 if a case could not be measured."""
    options = parse_arguments(argv)
    # So that the command that runs is ended, too, and the folder removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = rich.console.Console()
    if not console.is_terminal:
        console = rich.console.Console(width=WIDTH)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        folder = Path(scratch)
        made_data.write(folder)
        builds = [
            Checkout(name, path, folder, options.limit)
            for name, path in (("before", options.before), ("new", options.new))
        ]
        for build in builds:
            build.compile()
        about = machine.describe(*builds)
        console.print(machine.line(about))
        both = [Prepared(build, folder) for build in builds]
        result = {"about": about, "cases": {}}
        failed = False
        for name in options.cases:
            try:
                turns = measure(name, both, options)
            except Failed as failure:
                console.print(f"{name}: {failure}", markup=False)
                failed = True
                continue
            rows = rows_of(turns)
            console.print(table_of(name, rows))
            result["cases"][name] = [plain(row) for row in rows]
            if options.json:
                text = json.dumps(result, indent=1)
                options.json.write_text(text, encoding="utf-8")
    return int(failed)


def measure(
    name: str, both: list[Prepared], options: argparse.Namespace
) -> list[list[dict[str, Value]]]:
    """The figures of a case: for each build, for each turn."""
    for need in NEEDS.get(name, ()):
        for prepared in both:
            getattr(prepared, need)
    turns: list[list[dict[str, Value]]] = [[], []]
    for _ in range(options.turns):
        for figures, prepared in zip(turns, both, strict=True):
            figures.append(CASES[name](prepared, options))
    return turns


def rows_of(turns: list[list[dict[str, Value]]]) -> list[Row]:
    """A row for each figure that one of the builds has, in their order."""
    names = dict.fromkeys(
        name for build in turns for figures in build for name in figures
    )
    return [
        compare(
            name,
            *(
                [figures[name] for figures in build if name in figures]
                for build in turns
            ),
        )
        for name in names
    ]


def table_of(name: str, rows: list[Row]) -> rich.table.Table:
    """The table of a case."""
    table = rich.table.Table(title=name, title_justify="left")
    table.add_column("figure")
    for column in ("before", "new", "new/before", "in one turn"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row.cells)
    return table


def plain(row: Row) -> dict:
    """A row for JSON, which has no infinity."""
    values = {
        key: None if isinstance(v, float) and math.isinf(v) else v
        for key, v in (("before", row.before), ("new", row.new))
    }
    return {
        "figure": row.name,
        **values,
        "ratio": row.ratio,
        "spread": row.spread,
    }


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The options of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.builds",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    add = parser.add_argument
    add("--before", type=Path, required=True, help="folder of the old build")
    add("--new", type=Path, default=BENCHMARKS.parent, help="of the new one")
    add("--cases", nargs="+", choices=CASES, default=list(CASES))
    add("--turns", type=int, default=3)
    add("--json", type=Path, help="write the figures here, too")
    add("--limit", type=float, default=600, help="seconds of one command")
    add("--scratch", help="where to make temporary files")
    add("--ideographs", type=int, default=8000,
        help="vocabulary_learning: characters")  # fmt: skip
    add("--tokens", type=int, default=60_000,
        help="vocabulary_learning: size of the second vocabulary")  # fmt: skip
    add("--damaged_rows", type=int, default=4000,
        help="damage: records of the smaller file")  # fmt: skip
    add("--whole_demo", action="store_true",
        help="demo: with all of its steps, not 50 and 1 epoch")  # fmt: skip
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
