"""How much the classes' examples count in the loss.

Legend: C classes.
"""

from collections.abc import Mapping, Sequence

from tfbert.errors import UserError


def weights_of(
    setting: str | Mapping[str, float],
    labels: Sequence[str],
    examples: Sequence[str],
) -> list[float]:
    """The weight of each label, [C].

    Args:
      setting: "balanced": inversely proportional to how often the class
        occurs, 1 on average over the examples (King and Zeng 2001, section
        3.2, as scikit-learn's "balanced" has it); or weights by label, where
        1 is that of labels that are not named.
      labels: names of the C classes.
      examples: the label of each training example.

    Raises:
      UserError: an unknown label, or a weight that is not above 0.
    """
    if setting == "balanced":
        counts = [examples.count(label) for label in labels]
        return [len(examples) / (len(labels) * count) for count in counts]
    given = {str(label): weight for label, weight in setting.items()}
    for label, weight in given.items():
        if label not in labels:
            raise UserError(
                f"optimization.class_weights names {label!r}, which is no "
                f"label of the training file: {', '.join(labels[:20])}"
            )
        if weight <= 0:
            raise UserError(
                f"wanted optimization.class_weights above 0, got {weight} for "
                f"{label!r}"
            )
    return [float(given.get(label, 1.0)) for label in labels]
