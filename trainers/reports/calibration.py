"""How far the confidence of answers can be believed."""

from collections.abc import Mapping, Sequence

import numpy as np

from trainers.reports import plots
from trainers.reports.page import escape

BINS = 10


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


def figure(name: str, pairs: np.ndarray) -> str:
    """The reliability diagram of an evaluation, as HTML.

    Args:
      name: of the evaluation.
      pairs: of `confidences`, at least one.
    """
    bins, error = calibration(pairs)
    sure, right, _ = zip(*bins, strict=True)
    ideal = [min(sure), max(sure)]
    plot = plots.Plot(
        f"reliability-{plots.slug(name)}",
        f"Confidence and right answers on {name}",
        "mean confidence of the answers in a bin",
        "right answers",
        [
            plots.Curve("equal", ideal, ideal, plots.MUTED),
            plots.Curve("answers", sure, right, marked=True),
        ],
        percent=True,
        from_zero=True,
        percent_x=True,
    )
    counts = ", ".join(f"{n:,}" for *_, n in bins)
    caption = (
        "Below the thin line the model is surer than it is right. Expected "
        f"calibration error {error:.4f} ({BINS} bins; answers in those that "
        f"have any: {counts})."
    )
    return (
        f"<figure>{plots.draw(plot)}"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
