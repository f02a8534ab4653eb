"""What validation tells of how far probabilities can be believed.

The temperature is fitted on the predictions of each validation and lies with
the other figures of the best weights, so that it is always of these weights.
Exports, `predict` and `evaluate` answer with it.
"""

from collections.abc import Mapping

import numpy as np

from trainers.finetuning.kinds.kind import Examples, Kind
from trainers.finetuning.metrics import temperature
from trainers.reports.calibration import calibration

# Names among the figures of a validation.
TEMPERATURE = "temperature"
BEFORE, AFTER = "calibration_error", "calibrated_error"


def figures(
    kind: Kind, examples: Examples, outputs: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Temperature and expected calibration errors of predictions.

    Args:
      kind: that judges them.
      examples: what was predicted.
      outputs: of the task, [R, ...] each.

    Returns:
      "calibration_error", and "temperature" and "calibrated_error" where one
      can be fitted; {} of a kind whose answers have no probability.
    """
    scores = kind.scores(examples, outputs)
    if scores is None or not np.isfinite(scores.logits).all():
        return {}
    found = {BEFORE: calibration(scores.confidences())[1]}
    fitted = temperature.fitted(scores)
    if fitted is not None:
        found[TEMPERATURE] = fitted
        found[AFTER] = calibration(scores.confidences(fitted))[1]
    return found


def told(values: Mapping[str, float], examples: int | None) -> dict[str, str]:
    """What the figures of the best weights say of it, for people.

    Args:
      values: of the best weights.
      examples: of the validation file; None: not known.

    Returns:
      facts by name; {} where nothing was measured.
    """
    if BEFORE not in values:
        return {}
    if TEMPERATURE not in values:
        why = (
            f"the validation file has {examples} examples, and "
            f"{temperature.LEAST_EXAMPLES} are the least"
            if examples is not None and examples < temperature.LEAST_EXAMPLES
            else "every answer to the validation file is right, which says "
            "nothing of how sure the model may be"
        )
        return {
            "temperature": f"1 (not calibrated: {why})",
            "expected calibration error": f"{values[BEFORE]:.4f}",
        }
    fitted = values[TEMPERATURE]
    bound = ""
    if fitted in (temperature.LOWEST, temperature.HIGHEST):
        bound = ", the bound of what is fitted: look at the validation file"
    return {
        "temperature": f"{fitted:.4g}{bound}",
        "expected calibration error, before": f"{values[BEFORE]:.4f}",
        "expected calibration error, after": f"{values[AFTER]:.4f}",
        "fitted on": (
            "the validation file"
            + (f", {examples:,} examples" if examples else "")
            + " (Guo et al. 2017); the answers are the same"
        ),
    }
