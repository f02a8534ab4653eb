"""How far the confidence of answers can be believed."""

from collections.abc import Mapping, Sequence

import numpy as np

from trainers.reports import plots
from trainers.reports.page import escape

BINS = 10


def confidences(
    rows: Sequence[Mapping],
    temperature: float = 1.0,
    labels: Sequence[str] = (),
) -> np.ndarray:
    """float [N, 2]: how sure the model was of an answer, and 1 if it was right.

    Of rows with probabilities; others are left out. Of rows with any number
    of labels each label's yes or no is an answer.

    Args:
      rows: of a predictions file.
      temperature: by which their probabilities were calibrated, to have them
        as they were without; 1: as they are.
      labels: of rows with any number of them, in the order of probabilities.
    """
    pairs = []
    for row in rows:
        probabilities = row.get("probabilities")
        if not probabilities:
            continue
        if not isinstance(row.get("label"), list):
            right = row.get("label") == row.get("predicted")
            sure = np.array(probabilities) ** temperature
            pairs.append((sure.max() / sure.sum(), float(right)))
        elif len(labels) == len(probabilities):
            for name, yes in zip(labels, probabilities, strict=True):
                sure, no = yes**temperature, (1 - yes) ** temperature
                right = (name in row["label"]) == (name in row["predicted"])
                pairs.append((max(sure, no) / (sure + no), float(right)))
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


def figure(
    name: str, pairs: np.ndarray, before: np.ndarray | None = None
) -> str:
    """The reliability diagram of an evaluation, as HTML.

    Args:
      name: of the evaluation.
      pairs: of `confidences`, at least one.
      before: the same without the temperature that they have.
    """
    bins, error = calibration(pairs)
    sure, right, _ = zip(*bins, strict=True)
    ideal = [min(sure), max(sure)]
    curves = [plots.Curve("answers", sure, right, marked=True)]
    also = ""
    if before is not None:
        found, uncalibrated = calibration(before)
        x, y, _ = zip(*found, strict=True)
        ideal = [min(*sure, *x), max(*sure, *x)]
        curves.append(
            plots.Curve("not calibrated", x, y, plots.VALIDATION, marked=True)
        )
        also = f"; not calibrated it would be {uncalibrated:.4f}"
    plot = plots.Plot(
        f"reliability-{plots.slug(name)}",
        f"Confidence and right answers on {name}",
        "mean confidence of the answers in a bin",
        "right answers",
        [
            plots.Curve("equal", ideal, ideal, plots.MUTED),
            *curves,
        ],
        percent=True,
        from_zero=True,
        percent_x=True,
    )
    counts = ", ".join(f"{n:,}" for *_, n in bins)
    caption = (
        "Below the thin line the model is surer than it is right. Expected "
        f"calibration error {error:.4f} ({BINS} bins; answers in those that "
        f"have any: {counts}){also}."
    )
    return (
        f"<figure>{plots.draw(plot)}"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
