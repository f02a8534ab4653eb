"""The page that lays several runs over one another."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tfbert.errors import UserError
from trainers.files.run_folder import RunFolder
from trainers.files.text import flat
from trainers.reports import curves, figures, measures, page, tables
from trainers.reports.plots import CURVES, Curve, Plot

# Where the run lies says nothing about how it was made.
_NOT_COMPARED = ("runtime.run_dir", "dry_run")
_MANY_POINTS = 60


def render(runs: Sequence[RunFolder]) -> str:
    """The HTML of a comparison.

    Raises:
      UserError: a run is given twice.
    """
    names = names_of([run.path for run in runs])
    kinds = dict.fromkeys(filter(None, map(figures.kind_of, runs)))
    subtitle = ", ".join(map(measures.title_of_kind, kinds)) or "Runs"
    sections = [
        ("figures", "Figures", _figures(names, runs)),
        ("settings", "Settings that differ", _differences(names, runs)),
        ("curves", "Curves", overlaid(names, runs)),
        ("runs", "Runs", _folders(names, runs)),
    ]
    sections = [section for section in sections if section[2]]
    return page.page(f"{len(runs)} runs compared", subtitle, sections)


def names_of(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell all of them apart.

    Raises:
      UserError: a path is given twice.
    """
    paths = [path.resolve() for path in paths]
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise UserError(
                f"wanted different runs to compare, got {path} twice; name "
                "each once"
            )
    length = 1
    while len({path.parts[-length:] for path in paths}) < len(paths):
        length += 1
    return ["/".join(path.parts[-length:]) for path in paths]


def overlaid(names: Sequence[str], runs: Sequence[RunFolder]) -> str:
    """The curves of the runs over each other, as HTML."""
    drawn = list(zip(names, runs, strict=True))[: len(CURVES)]
    kind = figures.kind_of(runs[0])
    known = [
        name
        for _, run in drawn
        for name in [*figures.measures_in(run, run.rows("validation")), "loss"]
    ]
    plots = []
    for name in dict.fromkeys(known):
        axis = curves.axis_of(name, kind)
        data = figures.validation_word(runs[0])
        axis["title"] = f"{axis['title']} on {data}"
        plots.append(Plot(curves=_each(drawn, "validation", name), **axis))
    for name, title in (
        ("loss", "Training loss"),
        ("tokens_per_second", "Tokens per second"),
        ("learning_rate", "Learning rate"),
    ):
        axis = curves.axis_of(name, kind) | {"name": f"train-{name}"}
        axis |= {"title": title}
        lines = _each(drawn, "train", name)
        plots.append(Plot(curves=lines, from_zero=name != "loss", **axis))
    grid = curves.grid([p for p in plots if curves.has_points(p)], {})
    if len(runs) > len(drawn) and grid:
        grid = (
            f'<p class="muted">The first {len(drawn)} of {len(runs)} runs are '
            f"drawn.</p>{grid}"
        )
    return grid


def _each(drawn, split: str, name: str) -> list[Curve]:
    """A curve for each run that has a figure."""
    found = []
    for (label, run), colour in zip(drawn, CURVES, strict=False):
        rows = [row for row in run.rows(split) if name in row]
        if rows:
            found.append(
                curves.curve_of(
                    rows,
                    name,
                    label,
                    colour=colour,
                    smooth=split == "train" and name == "loss",
                    marked=split == "validation" and len(rows) <= _MANY_POINTS,
                )
            )
    return found


def _figures(names: Sequence[str], runs: Sequence[RunFolder]) -> str:
    found = [
        {figure.label: figure for figure in figures.headline(run)}
        for run in runs
    ]
    main = [f.label for some in found for f in some.values() if f.main]
    labels = dict.fromkeys(label for some in found for label in some)
    # Measures of the tasks, "... on ...", before steps and time.
    order = sorted(labels, key=lambda n: (n not in main, " on " not in n))
    rows = []
    for label in order:
        cells = []
        for some in found:
            figure = some.get(label)
            if figure is None:
                cells.append(page.Html('<span class="muted">\u2013</span>'))
                continue
            note = page.escape(figure.note)
            cells.append(
                page.Html(
                    f"{page.escape(figure.value)}"
                    + (f'<br><span class="muted">{note}</span>' if note else "")
                )
            )
        rows.append((label, cells))
    return page.side_by_side(names, rows)


def _differences(names: Sequence[str], runs: Sequence[RunFolder]) -> str:
    """Settings, shapes and versions that are not the same in all runs."""
    facts = [_facts(run) for run in runs]
    rows = [
        (name, [tables.setting(some.get(name)) for some in facts])
        for name in dict.fromkeys(name for some in facts for name in some)
        if len({repr(some.get(name)) for some in facts}) > 1
    ]
    if not rows:
        return '<p class="muted">None: all settings are the same.</p>'
    return page.side_by_side(names, rows)


def _facts(run: RunFolder) -> dict:
    """All that a run was made with, by dotted names."""
    found = {
        name: value
        for name, value in flat(run.settings).items()
        if name not in _NOT_COMPARED
    }
    found |= {f"config.{name}": v for name, v in flat(run.config).items()}
    for name in ("host", "python", "versions", "strategy", "git"):
        value = run.environment.get(name)
        if isinstance(value, Mapping):
            # 12 digits tell commits apart.
            short = {
                k: str(v)[:12] if k == "commit" else v for k, v in value.items()
            }
            found |= flat(short, f"{name}.")
        elif value is not None:
            found[name] = value
    return found


def _folders(names: Sequence[str], runs: Sequence[RunFolder]) -> str:
    rows = [
        (name, page.code(run.path), run_time(run))
        for name, run in zip(names, runs, strict=True)
    ]
    return page.table(("run", "folder", "last logged"), rows)


def run_time(run: RunFolder) -> str:
    """When a run last logged anything."""
    written = max((row.get("time") or 0 for row in run.metrics), default=0)
    return tables.moment(written) if written else ""
