"""The curves of a run, from the rows of its metrics.jsonl."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from tfbert.errors import UserError
from trainers.files.run_folder import RunFolder
from trainers.files.text import is_share
from trainers.reports import machine, measures, plots
from trainers.reports.figures import (
    kind_of,
    measures_in,
    median_speed,
    validation_word,
)
from trainers.reports.page import escape
from trainers.reports.plots import TRAIN, VALIDATION, WIDE, Curve, Plot
from trainers.settings.stages import Stage, steps_of_stages

# Names of rows that are no curve of their own.
NOT_CURVES = {
    "step",
    "time",
    "split",
    "steps",
    "seconds",
    "tokens",
    "loss_weight",
    "skipped",
    "loss",
    "learning_rate",
    "gradient_norm",
    "tokens_per_second",
    *machine.FIELDS,
}
CAPTIONS = {
    "loss": "Training: the mean of each logged interval, weighted by the "
    "number of predictions (faint), and a moving average of it. The other "
    "line: the mean over all of the held-out or validation data. Dotted: where "
    "another stage begins, on rows of its own.",
    "masked-lm-accuracy": "Share of masked tokens for which the likeliest "
    "token is the right one.",
    "learning-rate": "At the end of each logged interval.",
    "gradient-norm": "Of the whole gradient, summed over replicas, before "
    "clipping; a thin dashed line is the limit that it is clipped to.",
    "throughput": "Real tokens (no padding), all replicas together, without "
    "the first step and without validation; the thin dashed line is the "
    "median.",
}
TIME_UNITS = (
    (2 * 3600, 3600, "hours"),
    (120, 60, "minutes"),
    (0, 1, "seconds"),
)
_FEW = 60


def section(run: RunFolder) -> str:
    """The plots of a run as HTML."""
    return grid(plots_of(run))


def grid(drawn: Sequence[Plot], captions: Mapping = CAPTIONS) -> str:
    """Plots beside each other, with their captions."""
    found = []
    for plot in drawn:
        wide = ' class="wide"' if plot.size == WIDE else ""
        caption = captions.get(plot.name, "")
        if caption:
            caption = f"<figcaption>{escape(caption)}</figcaption>"
        svg = plots.draw_for_all(plot)
        found.append(f"<figure{wide}>{svg}{caption}</figure>")
    return f'<div class="grid">{"".join(found)}</div>' if found else ""


def plots_of(run: RunFolder) -> list[Plot]:
    """The plots in the order of the page: the task's measure first."""
    train, validation = run.rows("train"), run.rows("validation")
    names = [
        *measures_in(run, [*train, *validation]),
        "loss",
        *(name for row in [*train, *validation] for name in row),
    ]
    objectives = {n for n in names if n.endswith("_loss")}
    found = []
    for name in dict.fromkeys(names):
        # One objective alone is the loss itself; the norms of groups of
        # layers are for TensorBoard.
        alone = name in objectives and len(objectives) == 1
        if name == "loss" or (
            name not in NOT_CURVES and "/" not in name and not alone
        ):
            found.append(_of_both(run, train, validation, name))
    found += [
        _of_train(train, "learning_rate", from_zero=True),
        _of_train(
            train, "gradient_norm", logarithmic=True, level=_clip_norm(run)
        ),
        _throughput(train),
        *machine.plots(train),
    ]
    borders = borders_of(run)
    found = [
        dataclasses.replace(plot, borders=borders)
        for plot in found
        if plot and has_points(plot)
    ]
    if found:
        found[0] = dataclasses.replace(found[0], size=WIDE)
    return found


def borders_of(run: RunFolder) -> list[int]:
    """The steps after which another stage begins; [] where there are none."""
    optimization = run.settings.get("optimization")
    if not isinstance(optimization, Mapping) or not optimization.get("stages"):
        return []
    try:
        stages = [Stage(**stage) for stage in optimization["stages"]]
        steps = steps_of_stages(stages, optimization["steps"])
    except (TypeError, KeyError, UserError):
        return []  # The settings of a run that never began.
    return list(itertools.accumulate(steps))[:-1]


def axis_of(name: str, kind: str) -> dict:
    """Title, y axis and name of the plot of a figure, for `Plot`."""
    title = measures.title_of(name, kind)
    if name.endswith("loss"):
        unit = measures.unit_of_loss(kind)
    else:
        unit = title
    return {
        "name": name.replace("_", "-"),
        "title": title,
        "x_label": "step",
        "y_label": unit,
        "percent": is_share(name),
    }


def curve_of(
    rows: Sequence[Mapping], name: str, label: str, **options
) -> Curve:
    """One figure of those rows that have it, over the steps."""
    rows = [row for row in rows if name in row]
    return Curve(
        label,
        [row["step"] for row in rows],
        [row[name] for row in rows],
        **options,
    )


def has_points(plot: Plot) -> bool:
    """Whether there is anything to see."""
    return any(
        measures.is_finite(value) for curve in plot.curves for value in curve.y
    )


def _of_both(run: RunFolder, train, validation, name: str) -> Plot:
    curves = (
        [curve_of(train, name, "training", smooth=True)]
        if any(name in row for row in train)
        else []
    )
    rows = [row for row in validation if name in row]
    if rows:
        curves.append(
            curve_of(
                rows,
                name,
                validation_word(run),
                colour=VALIDATION,
                marked=len(rows) <= _FEW,
            )
        )
    return Plot(curves=curves, **axis_of(name, kind_of(run)))


def _of_train(train, name: str, **options) -> Plot:
    curve = curve_of(train, name, name, smooth=name == "gradient_norm")
    return Plot(curves=[curve], **axis_of(name, ""), **options)


def _clip_norm(run: RunFolder) -> float | None:
    section = run.settings.get("optimization")
    limit = section.get("clip_norm") if isinstance(section, Mapping) else None
    return float(limit) if measures.is_finite(limit) else None


def _throughput(train: Sequence[Mapping]) -> Plot | None:
    rows = [row for row in train if row.get("tokens_per_second")]
    passed, times = 0.0, []
    for row in rows:
        passed += row.get("seconds") or 0.0
        times.append(passed)
    scale, unit = next(
        (scale, unit) for least, scale, unit in TIME_UNITS if passed >= least
    )
    curve = Curve(
        "tokens per second",
        [time / scale for time in times],
        [row["tokens_per_second"] for row in rows],
        TRAIN,
        smooth=True,
    )
    return Plot(
        "throughput",
        "Throughput",
        f"training time in {unit}",
        "tokens per second",
        [curve],
        from_zero=True,
        level=median_speed(train),
    )
