"""The headline figures of a run, computed from its files."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from trainers.files.run_folder import RunFolder
from trainers.files.text import amount, duration, figure_text
from trainers.reports import machine, measures

# What validation data is called, by the kind of run.
VALIDATION_WORDS = {"pretraining": "held-out data"}
_MOST_MEASURES = 3


@dataclasses.dataclass(frozen=True)
class Figure:
    """A headline figure.

    Attributes:
      label: what it is.
      value: as text.
      note: a remark.
      main: whether it is what the run is judged by.
    """

    label: str
    value: str
    note: str = ""
    main: bool = False


def headline(run: RunFolder) -> list[Figure]:
    """The figures that a reader looks for first, the task's measure first."""
    train = run.rows("train")
    found = _evaluated(run) + _validated(run)
    if not found:
        found = _trained(run)
    if found:
        found[0] = dataclasses.replace(found[0], main=True)
    return found + _progress(run, train) + _machine(run, train)


def kind_of(run: RunFolder) -> str:
    """The kind of a run; "" where it does not say."""
    kind = run.about.get("kind")
    return kind if isinstance(kind, str) else ""


def validation_word(run: RunFolder) -> str:
    """What the run's validation data is called."""
    return VALIDATION_WORDS.get(kind_of(run), "validation data")


def chosen_metric(run: RunFolder) -> str | None:
    """data.metric of the run's settings."""
    data = run.settings.get("data")
    metric = data.get("metric") if isinstance(data, Mapping) else None
    return metric if isinstance(metric, str) else None


def measures_in(run: RunFolder, rows: Sequence[Mapping]) -> list[str]:
    """The figures to show of those that `rows` have, the task's first."""
    known = {
        name
        for row in rows
        for name, value in row.items()
        if measures.is_finite(value)
    }
    return measures.measures_of(kind_of(run), known, chosen_metric(run))


def median_speed(train: Sequence[Mapping]) -> float | None:
    """Median tokens/s over the logged intervals."""
    speeds = [
        row["tokens_per_second"]
        for row in train
        if row.get("tokens_per_second")
    ]
    return statistics.median(speeds) if speeds else None


def _evaluated(run: RunFolder) -> list[Figure]:
    """The measures of each file that `tfbert evaluate` measured."""
    found = []
    for file, content in run.evaluations.items():
        data = evaluation_name(file)
        for name in measures_in(run, [content])[:2]:
            label = f"{measures.title_of(name, kind_of(run))} on {data}"
            value = figure_text(name, content[name])
            note = _baseline(content) if name == "accuracy" else ""
            found.append(Figure(label, value, note))
    return found


def evaluation_name(file: str) -> str:
    """NAME of "evaluation-NAME.json"."""
    return file.removeprefix("evaluation-").removesuffix(".json")


def _baseline(content: Mapping) -> str:
    for name, words in (
        ("majority_baseline", "always the commonest"),
        ("chance", "by chance"),
    ):
        if measures.is_finite(content.get(name)):
            return f"{words}: {figure_text(name, content[name])}"
    return ""


def _validated(run: RunFolder) -> list[Figure]:
    """The measures on validation data.

    Of a fine-tuned run where the first of them was best, since these weights
    are kept; of pretraining at the last evaluation.
    """
    rows = run.rows("validation")
    names = measures_in(run, rows)
    if not names:
        return []
    known = [row for row in rows if measures.is_finite(row.get(names[0]))]
    # What was measured before the first step is not kept.
    kept = [row for row in known if row["step"] > 0] or known
    best = measures.best_row(kept, names[0])
    keeps_best = names[0] != "loss"
    row = best if keeps_best else known[-1]
    if "loss" not in names:
        names = [*names[: _MOST_MEASURES - 1], "loss"]
    found = []
    for place, name in enumerate(names[:_MOST_MEASURES]):
        if not measures.is_finite(row.get(name)):
            continue
        note = f"at step {row['step']:,}"
        other = known[-1] if keeps_best else measures.best_row(known, name)
        if other is not row and measures.is_finite(other.get(name)):
            value = figure_text(name, other[name])
            word = "last" if keeps_best else "best"
            note += f"; {word} {value} at {other['step']:,}"
        if place == 0 and keeps_best:
            note = f"best, {note}"
        label = measures.title_of(name, kind_of(run))
        label = f"{label} on {validation_word(run)}"
        found.append(Figure(label, figure_text(name, row[name]), note))
    return found


def _trained(run: RunFolder) -> list[Figure]:
    """The last training loss, of a run that has measured nothing yet."""
    rows = [
        row for row in run.rows("train") if measures.is_finite(row.get("loss"))
    ]
    if not rows:
        return []
    note = f"at step {rows[-1]['step']:,}"
    return [
        Figure("Training loss", figure_text("loss", rows[-1]["loss"]), note)
    ]


def _progress(run: RunFolder, train: Sequence[Mapping]) -> list[Figure]:
    """Steps, tokens and time."""
    last = max((row["step"] for row in run.metrics), default=0)
    total = planned_steps(run)
    note = f"of {total:,} planned" if total and total != last else ""
    found = [Figure("Steps", f"{last:,}", note)]
    skipped = sum(row.get("skipped") or 0 for row in train)
    if skipped:
        note = "gradient was not finite"
        found.append(Figure("Skipped steps", f"{skipped:,.0f}", note))
    if tokens := sum(row.get("tokens") or 0 for row in train):
        places = sum(
            row["tokens"] / row["real_tokens_share"]
            for row in train
            if row.get("tokens") and row.get("real_tokens_share")
        )
        note = "without padding"
        if places:
            note = f"{tokens / places:.0%} of the computed places"
        found.append(Figure("Tokens seen", amount(tokens), note))
    if seconds := sum(row.get("seconds") or 0 for row in train):
        found.append(Figure("Time", duration(seconds), "in training steps"))
    if speed := median_speed(train):
        value = figure_text("tokens_per_second", speed)
        found.append(Figure("Tokens per second", value, "median"))
    return found


def _machine(run: RunFolder, train: Sequence[Mapping]) -> list[Figure]:
    found = [Figure(*text) for text in machine.headline(list(train))]
    if run.num_parameters:
        found.append(
            Figure("Parameters", figure_text("parameters", run.num_parameters))
        )
    return found


def planned_steps(run: RunFolder) -> int | None:
    """optimization.steps of the run's settings."""
    section = run.settings.get("optimization")
    steps = section.get("steps") if isinstance(section, Mapping) else None
    return steps if isinstance(steps, int) else None
