"""What an evaluation got wrong, with its text, and how far it can be believed.

Both are made from the predictions file that `tfbert evaluate` wrote
(RUN/predictions-NAME.jsonl).
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tfbert.json_files import parse_lines
from trainers.reports import page as html
from trainers.reports import plots

MOST_ERRORS = 20
BINS = 10
_LONGEST_TEXT = 400


@dataclasses.dataclass(frozen=True)
class Mistake:
    """One wrong answer.

    Attributes:
      badness: larger is worse; compared within one file.
      line: its line in the data file.
      text: the input.
      right: what was wanted.
      answer: what came.
      score: how sure the model was, or how far it was off.
    """

    badness: float
    line: int
    text: str
    right: str
    answer: str
    score: str


def section(run_dir: Path, evaluations: Iterable[str]) -> str:
    """Reliability and worst errors of each evaluation, as HTML.

    Args:
      run_dir: folder of the run.
      evaluations: names of its files "evaluation-NAME.json".
    """
    parts = []
    for file in evaluations:
        name = file.removeprefix("evaluation-").removesuffix(".json")
        rows = read_predictions(run_dir / f"predictions-{name}.jsonl")
        pairs = confidences(rows)
        if len(pairs):
            parts.append(_reliability(name, pairs))
        if errors := mistakes(rows):
            scores = isinstance(rows[0].get("predicted"), float)
            parts.append(_table(name, errors, len(rows), scores))
    return '<div class="grid">' + "".join(parts) + "</div>" if parts else ""


def read_predictions(path: Path) -> list[dict]:
    """The whole rows of a predictions file; none where there is no file."""
    if not path.is_file():
        return []
    return parse_lines(path.read_text("utf-8", errors="replace"))


def mistakes(rows: Sequence[Mapping]) -> list[Mistake]:
    """The wrong answers, and scores that are off, the worst first.

    The worst is the one that the model was surest of; of several labels, the
    one with the label that is farthest off; of scores, the one that is
    farthest off; of answers in words, the one that shares least with a right
    one. Of equals the earlier line comes first.
    """
    found = [mistake for row in rows if (mistake := _mistake(row))]
    return sorted(found, key=lambda mistake: -mistake.badness)


def _mistake(row: Mapping) -> Mistake | None:
    line, text = row.get("line", 0), " | ".join(row.get("text", []))
    right, answer = row.get("label"), row.get("predicted")
    if "f1" in row:
        if row["f1"] == 1:
            return None
        gold = " / ".join(row.get("gold", [])) or "no answer"
        given = row.get("answer") or "no answer"
        badness = 1 - row["f1"]
        score = f"F1 {row['f1']:.2f}"
        return Mistake(badness, line, text, gold, given, score)
    if right == answer or right is None:
        return None
    if "words" in row:
        return _mistake_of_words(row)
    # Of labels that stand side by side the order says nothing.
    if isinstance(answer, list) and set(right) == set(answer):
        return None
    if isinstance(answer, float):
        off = answer - right
        shown = f"{right:.4g}", f"{answer:.4g}", f"{off:+.4g}"
        return Mistake(abs(off), line, text, *shown)
    if isinstance(answer, list):
        # Runs of before have no miss, and nothing that tells it.
        miss = row.get("largest_miss")
        shown = [", ".join(some) or "none" for some in (right, answer)]
        score = "" if miss is None else f"{miss:.4f}"
        return Mistake(miss or 0.0, line, text, *shown, score)
    sure = max(row.get("probabilities") or [0.0])
    if "choices" in row:
        right, answer = row["choices"][right], row["choices"][answer]
    return Mistake(sure, line, text, right, answer, f"{sure:.4f}")


def _mistake_of_words(row: Mapping) -> Mistake:
    """A sentence, and its words with a wrong tag."""
    parts = zip(
        row["words"], row["label"], row["predicted"], row["scores"], strict=True
    )
    wrong = [part for part in parts if part[1] != part[2]]
    sure = max(part[3] for part in wrong)
    right = ", ".join(f"{word}: {tag}" for word, tag, _, _ in wrong)
    answer = ", ".join(f"{word}: {tag}" for word, _, tag, _ in wrong)
    text = " ".join(row["words"])
    return Mistake(sure, row["line"], text, right, answer, f"{sure:.4f}")


def confidences(rows: Sequence[Mapping]) -> np.ndarray:
    """float [N, 2]: how sure the model was of an answer, and 1 if it was right.

    Of rows with one answer and its probability; others are left out.
    """
    pairs = []
    for row in rows:
        probabilities = row.get("probabilities")
        if not probabilities or isinstance(row.get("label"), list):
            continue
        right = row.get("label") == row.get("predicted")
        pairs.append((max(probabilities), float(right)))
    return np.array(pairs).reshape(-1, 2)


def calibration(pairs: np.ndarray) -> tuple[list[tuple], float]:
    """Bins of equal width, and the expected calibration error.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2:
    the mean over the bins, weighted by their answers, of the distance between
    mean confidence and share of right answers.

    Args:
      pairs: of `confidences`.

    Returns:
      ((mean confidence, share right, answers) of each bin that has any,
      the error)
    """
    place = np.minimum((pairs[:, 0] * BINS).astype(int), BINS - 1)
    bins = []
    for number in range(BINS):
        inside = pairs[place == number]
        if len(inside):
            bins.append((*inside.mean(axis=0).tolist(), len(inside)))
    error = sum(n * abs(sure - right) for sure, right, n in bins) / len(pairs)
    return bins, error


def _reliability(name: str, pairs: np.ndarray) -> str:
    bins, error = calibration(pairs)
    sure, right, _ = zip(*bins, strict=True)
    ideal = [min(sure), max(sure)]
    slug = "".join(c if c.isalnum() else "-" for c in name)
    plot = plots.Plot(
        f"reliability-{slug}",
        f"Reliability on {name}",
        "mean confidence of the answers in a bin",
        "right answers",
        [
            plots.Curve("if it were exact", ideal, ideal, plots.VALIDATION),
            plots.Curve("answers", sure, right, marked=True),
        ],
        percent=True,
        from_zero=True,
    )
    counts = ", ".join(f"{n:,}" for *_, n in bins)
    caption = (
        f"Below the line the model is surer than it may be. Expected "
        f"calibration error {error:.4f} ({BINS} bins; answers in them: "
        f"{counts})."
    )
    return (
        f"<figure>{plots.draw(plot)}"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _table(
    name: str, errors: Sequence[Mistake], answers: int, scores: bool
) -> str:
    rows = [
        (
            html.Number(str(error.line)),
            _short(error.text),
            _short(error.right),
            _short(error.answer),
            html.Number(error.score),
        )
        for error in errors[:MOST_ERRORS]
    ]
    if scores:
        # A score is hardly ever right to all digits, nor need it be.
        shown = min(len(errors), MOST_ERRORS)
        caption = (
            f"{name}: of {answers:,} scores the {shown} that are farthest off"
        )
    else:
        caption = f"{name}: {len(errors):,} of {answers:,} answers are wrong"
        if len(errors) > MOST_ERRORS:
            caption += f"; the worst {MOST_ERRORS}"
    head = ("line", "text", "right", "answer", "score")
    return f'<div class="wide">{html.table(head, rows, caption)}</div>'


def _short(text: object) -> str:
    text = str(text)
    if len(text) <= _LONGEST_TEXT:
        return text
    return text[:_LONGEST_TEXT] + " ..."
