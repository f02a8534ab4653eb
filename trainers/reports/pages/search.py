"""The page about a folder that `--seeds` or `--sweep` made."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tfbert.errors import UserError
from tfbert.file_names import SUMMARY_FILE, SWEEP_FILE
from trainers.files.run_folder import RunFolder, read_json
from trainers.files.text import figure_text
from trainers.reports import curves, measures, page, tables
from trainers.reports.figures import Figure, chosen_metric, kind_of
from trainers.reports.pages import comparison
from trainers.reports.plots import CURVES, Curve, Plot

_SPLITS = {"test": "test data", "validation": "validation data"}


def is_search(folder: Path) -> bool:
    """Whether a folder holds the runs of several seeds, or of a sweep."""
    return bool(_seeds(folder) or _sweep(folder))


def runs_in(folder: Path) -> list[RunFolder]:
    """The runs that a folder of seeds or of a sweep holds.

    Raises:
      UserError: none of them is there any more.
    """
    sweep = _sweep(folder)
    if sweep:
        places = [_place(folder, one) for one in sweep["runs"]]
    else:
        places = [folder / f"seed-{seed}" for seed in _seeds(folder)["seeds"]]
    found = []
    for place in places:
        if _seeds(place):
            found += runs_in(place)
        elif place.is_dir():
            found.append(RunFolder(place))
    if not found:
        raise UserError(
            f"{folder} lists runs, such as {places[0]}, of which none is "
            "there any more; train them again, or name other folders"
        )
    return found


def render(folder: Path) -> tuple[str, list[Figure]]:
    """The HTML of the page, and what it says first.

    Raises:
      UserError: a file is broken, or no run is there any more.
    """
    runs = runs_in(folder)
    sweep = _sweep(folder)
    if sweep:
        headline, sections = _of_sweep(folder, sweep, runs)
    else:
        headline, sections = _of_seeds(_seeds(folder), runs)
    what = "Sweep" if sweep else "Seeds"
    subtitle = measures.title_of_kind(kind_of(runs[0])) or "Runs"
    sections = [
        ("figures", "", page.cards(headline)),
        *sections,
        ("settings", "Settings of the first run", tables.settings(runs[0])),
        ("environment", "Environment", tables.environment(runs[0])),
    ]
    sections = [section for section in sections if section[2]]
    title = f"{what}: {folder.resolve().name}"
    return page.page(title, subtitle, sections), headline


def _of_seeds(summary: Mapping, runs: Sequence[RunFolder]):
    """Headline and sections of several seeds."""
    seeds, spread = summary["seeds"], summary["spread"]
    kind = kind_of(runs[0])
    headline = [
        Figure(
            _title(name, kind),
            _with_spread(name, spread[name]),
            f"mean \u00b1 standard deviation of {len(seeds)} seeds; from "
            f"{figure_text(name, spread[name]['least'])} to "
            f"{figure_text(name, spread[name]['most'])}",
            main=place == 0,
        )
        for place, name in enumerate(_first(spread, runs[0])[:4])
    ]
    names = list(dict.fromkeys([*_first(spread, runs[0]), *spread]))
    rows = [
        (
            _title(name, kind),
            *(
                page.Number(_digits(name, spread[name][part]))
                for part in ("mean", "standard_deviation", "least", "most")
            ),
            *(page.Number(_digits(name, one[name])) for one in seeds.values()),
        )
        for name in names
    ]
    columns = ("mean", "standard deviation", "least", "most")
    head = ("", *columns, *(f"seed {seed}" for seed in seeds))
    labels = [f"seed {seed}" for seed in seeds]
    return headline, [
        ("table", "Spread", page.table(head, rows)),
        ("seeds", "Seeds", _plot_of_seeds(seeds, spread, runs[0])),
        ("curves", "Curves", comparison.overlaid(labels, runs)),
    ]


def _plot_of_seeds(seeds: Mapping, spread: Mapping, run: RunFolder) -> str:
    """The first measure of each seed, on each kind of data."""
    plots = []
    for name in _first(spread, run)[:2]:
        axis = curves.axis_of(_bare(name), kind_of(run))
        values = [one[name] for one in seeds.values()]
        axis |= {
            "name": f"seeds-{name}",
            "title": f"{_title(name, kind_of(run))}, and the mean",
            "x_label": "seed",
            "level": spread[name]["mean"],
        }
        curve = Curve("seeds", range(len(values)), values, line=False)
        plots.append(Plot(curves=[curve], ticks=list(seeds), **axis))
    return curves.grid(plots, {})


def _of_sweep(folder: Path, sweep: Mapping, runs: Sequence[RunFolder]):
    """Headline and sections of a sweep."""
    kind, metric = kind_of(runs[0]), sweep.get("metric")
    done = [one for one in sweep["runs"] if "figures" in one]
    failed = [one for one in sweep["runs"] if "failed" in one]
    note = f"{len(failed)} failed" if failed else ""
    headline = [Figure("Runs", f"{len(sweep['runs'])}", note)]
    sections, drawn = [], []
    if metric and done:
        best = sweep["runs"][sweep["best"]]
        done.sort(key=lambda one: -_mean(one["figures"][metric]))
        value = _with_spread(metric, best["figures"][metric])
        headline = [
            Figure(
                f"Best: {_title(metric, kind)}", value, _values(best), main=True
            ),
            Figure("Worst", _with_spread(metric, done[-1]["figures"][metric])),
            *headline,
        ]
        places = [_place(folder, one) for one in done]
        drawn = [
            (_values(one), RunFolder(place))
            for one, place in zip(done, places, strict=True)
            if place.is_dir() and not _seeds(place)
        ][: len(CURVES)]
        sections = [
            ("best", "Best point", _best_point(folder, best)),
            ("plots", "By setting", _by_setting(done, metric, kind)),
        ]
    sections.append(("table", "Runs", _table(done, failed, metric, kind)))
    if drawn:
        names, shown = zip(*drawn, strict=True)
        heading = "Curves"
        if len(done) > len(drawn):
            heading += f" of the best {len(drawn)}"
        found = comparison.overlaid(names, shown)
        sections.append(("curves", heading, found))
    return headline, sections


def _best_point(folder: Path, best: Mapping) -> str:
    given = " ".join(f"--{n} {v}" for n, v in best["settings"].items())
    return page.facts(
        {
            "options": page.code(given),
            "run folder": page.code(_place(folder, best)),
        }
    )


def _table(done, failed, metric: str | None, kind: str) -> str:
    """The runs of a sweep, the best first."""
    settings = list((done or failed)[0]["settings"])
    names = list(done[0]["figures"]) if done else []
    names.sort(key=lambda name: name != metric)
    rows = [
        (
            *(page.Number(one["settings"][name]) for name in settings),
            *(
                page.Number(_with_spread(name, one["figures"][name]))
                for name in names
            ),
        )
        for one in done
    ]
    failure = page.Number("failed")
    missing = [None] * max(0, len(names) - 1)
    rows += [
        (*map(page.Number, one["settings"].values()), failure, *missing)
        for one in failed
    ]
    head = [*map(_last, settings), *(_title(name, kind) for name in names)]
    if not names:
        head.append("")
    table = page.table(head, rows, "the best first", best=0 if done else None)
    for one in failed:
        table += (
            f'<p class="muted">{_values(one)}: {page.text(one["failed"])}</p>'
        )
    return table


def _by_setting(done: Sequence[Mapping], metric: str, kind: str) -> str:
    """The measure over each setting that was varied.

    The points of one curve differ in that setting alone.
    """
    varied = {
        name: list(dict.fromkeys(one["settings"][name] for one in done))
        for name in done[0]["settings"]
    }
    plots = []
    for name, values in varied.items():
        if len(values) < 2:
            continue
        values = sorted(values, key=_order)
        others = [n for n in varied if n != name and len(varied[n]) > 1]
        groups: dict[tuple, list[Mapping]] = {}
        for one in done:
            group = tuple(_order(one["settings"][n]) for n in others)
            groups.setdefault(group, []).append(one)
        axis = curves.axis_of(_bare(metric), kind) | {
            "name": f"by-{name.replace('.', '-')}",
            "title": f"{_title(metric, kind)} by {_last(name)}",
            "x_label": name,
        }
        lines = [
            _group(_label(some[0], others), some, name, values, metric, colour)
            for (_, some), colour in zip(
                sorted(groups.items()), CURVES, strict=False
            )
        ]
        plots.append(Plot(curves=lines, ticks=values, **axis))
    return curves.grid(plots, {})


def _label(one: Mapping, names: Sequence[str]) -> str:
    return ", ".join(f"{_last(n)} {one['settings'][n]}" for n in names)


def _group(label, runs, name, values, metric, colour) -> Curve:
    """Runs that differ in one setting, in the order of its values."""
    points = sorted(
        (values.index(one["settings"][name]), one["figures"][metric])
        for one in runs
    )
    spread = [
        figure["standard_deviation"] if isinstance(figure, Mapping) else 0.0
        for _, figure in points
    ]
    return Curve(
        label,
        [place for place, _ in points],
        [_mean(figure) for _, figure in points],
        colour,
        marked=True,
        spread=spread if any(spread) else None,
    )


def _first(spread: Mapping, run: RunFolder) -> list[str]:
    """The names of the task's measures, of test data before validation."""
    found = []
    for split in _SPLITS:
        known = [
            n.removeprefix(f"{split}_") for n in spread if n.startswith(split)
        ]
        found += [
            f"{split}_{name}"
            for name in measures.measures_of(
                kind_of(run), known, chosen_metric(run)
            )[:2]
        ]
    return found


def _title(name: str, kind: str) -> str:
    """ "validation_f1" as "Span F1 on validation data"."""
    for split, words in _SPLITS.items():
        if name.startswith(f"{split}_"):
            return f"{measures.title_of(_bare(name), kind)} on {words}"
    return "Best step" if name == "step" else measures.title_of(name, kind)


def _bare(name: str) -> str:
    for split in _SPLITS:
        name = name.removeprefix(f"{split}_")
    return name


def _digits(name: str, value: float) -> str:
    return figure_text(name, value)


def _with_spread(name: str, figure) -> str:
    if not isinstance(figure, Mapping):
        return _digits(name, figure)
    mean = _digits(name, figure["mean"])
    deviation = _digits(name, figure["standard_deviation"])
    return f"{mean} \u00b1 {deviation}"


def _mean(figure) -> float:
    return figure["mean"] if isinstance(figure, Mapping) else figure


def _last(name: str) -> str:
    """ "learning_rate" of "optimization.learning_rate"."""
    return name.rsplit(".", 1)[-1]


def _values(one: Mapping) -> str:
    return _label(one, list(one["settings"]))


def _order(value: str) -> tuple:
    """Numbers by their size, before words."""
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value


def _seeds(folder: Path) -> dict:
    """summary.json of several seeds; {} where there is none.

    The demo's file of that name holds other things.
    """
    found = read_json(folder / SUMMARY_FILE)
    parts = [found.get("seeds"), found.get("spread")]
    return found if all(isinstance(p, dict) and p for p in parts) else {}


def _sweep(folder: Path) -> dict:
    found = read_json(folder / SWEEP_FILE)
    return (
        found if isinstance(found.get("runs"), list) and found["runs"] else {}
    )


def _place(folder: Path, one: Mapping) -> Path:
    """Where a run of a sweep is: in its folder, wherever that was moved."""
    return folder / Path(one["run_dir"]).name
