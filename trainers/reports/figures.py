"""What a report says in figures and plots, computed from the run's files."""

import dataclasses
import math
import statistics

from trainers.files.run_folder import RunFolder
from trainers.files.text import duration
from trainers.reports import machine
from trainers.reports.plots import TRAIN, VALIDATION, WIDE, Curve, Plot

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
TITLES = {
    "masked_lm_accuracy": "Masked-LM accuracy",
    "masked_lm_loss": "Masked-LM loss",
    "next_sentence_accuracy": "Next-sentence accuracy",
    "next_sentence_loss": "Next-sentence loss",
    "macro_f1": "Macro F1",
}
# The measure of an evaluation that a reader looks for first, by task.
MEASURES = {
    "accuracy": "Accuracy",
    "micro_f1": "Micro F1",
    "pearson": "Pearson",
    "f1": "F1",
}
# What validation data is called, by the kind of run.
VALIDATION_WORDS = {"pretraining": "Held-out"}
TIME_UNITS = (
    (2 * 3600, 3600, "hours"),
    (120, 60, "minutes"),
    (0, 1, "seconds"),
)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A headline figure: what it is, its value, and a remark."""

    label: str
    value: str
    note: str = ""


def title_of(name: str) -> str:
    """The name of a value for people: "Masked-LM accuracy"."""
    return TITLES.get(name, name.replace("_", " ").capitalize())


def headline(run: RunFolder) -> list[Figure]:
    """The figures that a reader looks for first."""
    train, validation = run.rows("train"), run.rows("validation")
    word = VALIDATION_WORDS.get(run.about.get("kind"), "Validation")
    figures = _evaluated(run)
    if validation:
        figures += _quality(validation, word)
    else:
        figures += _quality(train, "Training")
    last = max((row["step"] for row in run.metrics), default=0)
    total = _planned_steps(run)
    note = f"of {total:,} planned" if total and total != last else ""
    figures.append(Figure("Steps", f"{last:,}", note))
    tokens = sum(row.get("tokens") or 0 for row in train)
    if tokens:
        figures.append(Figure("Tokens seen", amount(tokens), "without padding"))
    speed = median_speed(train)
    if speed:
        figures.append(Figure("Tokens per second", f"{speed:,.0f}", "median"))
    figures += [Figure(*text) for text in machine.headline(train)]
    seconds = sum(row.get("seconds") or 0 for row in train)
    if seconds:
        note = "in training steps"
        figures.append(Figure("Time", duration(seconds), note))
    if run.num_parameters:
        figures.append(Figure("Parameters", amount(run.num_parameters)))
    skipped = sum(row.get("skipped") or 0 for row in train)
    if skipped:
        note = "gradient was not finite"
        figures.append(Figure("Skipped steps", f"{skipped:,.0f}", note))
    return figures


def plots(run: RunFolder) -> list[Plot]:
    """The plots in the order of the page."""
    train, validation = run.rows("train"), run.rows("validation")
    found = [_of_both(train, validation, "loss", size=WIDE)]
    names = dict.fromkeys(name for row in [*train, *validation] for name in row)
    objectives = [n for n in names if n.endswith("_loss")]
    for name in names:
        # One objective alone is the loss itself.
        alone = name in objectives and len(objectives) == 1
        # The norms of groups of layers are for TensorBoard.
        if name not in NOT_CURVES and "/" not in name and not alone:
            found.append(_of_both(train, validation, name))
    found += [
        _of_train(train, "learning_rate", "Learning rate", from_zero=True),
        _of_train(
            train, "gradient_norm", "Gradient norm", level=_clip_norm(run)
        ),
        _throughput(train),
        *machine.plots(train),
    ]
    return [plot for plot in found if plot and _has_points(plot)]


def median_speed(train: list[dict]) -> float | None:
    """Median tokens/s over the logged intervals."""
    speeds = [
        row["tokens_per_second"]
        for row in train
        if row.get("tokens_per_second")
    ]
    return statistics.median(speeds) if speeds else None


def amount(number: float) -> str:
    """4,096 or 13.2 million."""
    for size, name in ((1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:.3g} {name}"
    return f"{number:,.0f}"


def _evaluated(run: RunFolder) -> list[Figure]:
    """The first measure of MEASURES that `tfbert evaluate` has of a file."""
    figures = []
    for name, content in run.evaluations.items():
        known = [m for m in MEASURES if _finite(content.get(m))]
        if not known:
            continue
        data = name.removeprefix("evaluation-").removesuffix(".json")
        if known[0] != "accuracy":
            label = f"{MEASURES[known[0]]} on {data}"
            figures.append(Figure(label, f"{content[known[0]]:.4f}"))
            continue
        accuracy = content["accuracy"]
        majority = content.get("majority_baseline")
        note = f"majority class {majority:.1%}" if _finite(majority) else ""
        label = f"Accuracy on {data}"
        figures.append(Figure(label, f"{accuracy:.1%}", note))
    return figures


def _quality(rows: list[dict], word: str) -> list[Figure]:
    """The last loss and accuracies of `rows`, and where they were best."""
    figures = []
    names = [n for n in (rows[-1] if rows else {}) if n.endswith("accuracy")]
    for name in ["loss", *names]:
        known = [row for row in rows if _finite(row.get(name))]
        if not known:
            continue
        last = known[-1]
        best = (min if name == "loss" else max)(known, key=lambda r: r[name])
        show = "{:.4f}".format if name == "loss" else "{:.1%}".format
        note = f"at step {last['step']:,}"
        if word != "Training" and best["step"] != last["step"]:
            note += f"; best {show(best[name])} at {best['step']:,}"
        title = title_of(name)
        title = f"{word} {title[0].lower()}{title[1:]}"
        figures.append(Figure(title, show(last[name]), note))
    return figures


def _planned_steps(run: RunFolder) -> int | None:
    steps = _optimization(run).get("steps")
    return steps if isinstance(steps, int) else None


def _clip_norm(run: RunFolder) -> float | None:
    limit = _optimization(run).get("clip_norm")
    return float(limit) if _finite(limit) else None


def _optimization(run: RunFolder) -> dict:
    section = run.settings.get("optimization")
    return section if isinstance(section, dict) else {}


def _of_both(train, validation, name: str, **options) -> Plot:
    curves = []
    for rows, label, colour in (
        (train, "training", TRAIN),
        (validation, "held out", VALIDATION),
    ):
        rows = [row for row in rows if name in row]
        if rows:
            held_out = colour == VALIDATION
            curves.append(
                Curve(
                    label,
                    [row["step"] for row in rows],
                    [row[name] for row in rows],
                    colour,
                    smooth=not held_out,
                    marked=held_out and len(rows) <= 60,
                )
            )
    unit = ""
    if name.endswith("loss"):
        unit = "nats per prediction"
    percent = name.endswith("accuracy")
    if percent:
        unit = "right predictions"
    return Plot(
        name.replace("_", "-"),
        title_of(name),
        "step",
        unit or name,
        curves,
        percent=percent,
        **options,
    )


def _of_train(train, name: str, title: str, **options) -> Plot:
    rows = [row for row in train if name in row]
    curve = Curve(
        title,
        [row["step"] for row in rows],
        [row[name] for row in rows],
        smooth=name == "gradient_norm",
    )
    label = name.replace("_", " ")
    return Plot(
        name.replace("_", "-"), title, "step", label, [curve], **options
    )


def _throughput(train: list[dict]) -> Plot | None:
    rows = [row for row in train if row.get("tokens_per_second")]
    passed, times = 0.0, []
    for row in rows:
        passed += row.get("seconds") or 0.0
        times.append(passed)
    scale, unit = next(
        (scale, unit) for least, scale, unit in TIME_UNITS if passed >= least
    )
    return Plot(
        "throughput",
        "Throughput",
        f"training time in {unit}",
        "tokens per second",
        [
            Curve(
                "tokens per second",
                [time / scale for time in times],
                [row["tokens_per_second"] for row in rows],
                smooth=True,
            )
        ],
        from_zero=True,
        level=median_speed(train),
    )


def _has_points(plot: Plot) -> bool:
    return any(_finite(value) for curve in plot.curves for value in curve.y)


def _finite(value) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
