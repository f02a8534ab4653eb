"""Figures of the turns -> medians, ratios and their spread."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

# A figure; words are shown, not compared; math.inf: ended at the limit.
Value = float | str


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure of both builds.

    Attributes:
      name: what was measured; "a second" in it: more is better.
      before, new: the medians over the turns, or words; None: this build has
        no such figure.
      ratio: new / before; None where they cannot be compared.
      spread: the least and the largest ratio of the figures of one turn.
    """

    name: str
    before: Value | None
    new: Value | None
    ratio: float | None = None
    spread: tuple[float, float] | None = None

    @property
    def cells(self) -> list[str]:
        """The row as it is printed."""
        ratio = spread = ""
        if self.ratio is not None:
            ratio = f"{self.ratio:.3g}"
        if self.spread is not None:
            spread = " to ".join(f"{value:.3g}" for value in self.spread)
        return [self.name, shown(self.before), shown(self.new), ratio, spread]


def shown(value: Value | None) -> str:
    """A figure with three digits that count."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if math.isinf(value):
        return "over the limit"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def compare(name: str, before: Sequence[Value], new: Sequence[Value]) -> Row:
    """The row of a figure that was measured in turns.

    Args:
      name: what was measured.
      before, new: a figure for each turn; empty if the build has none.
    """
    middles = [_middle(values) for values in (before, new)]
    row = Row(name, *middles)
    if any(middle is None or isinstance(middle, str) for middle in middles):
        return row
    pairs = list(zip(before, new, strict=True))
    known = [math.isfinite(a) and a > 0 and math.isfinite(b) for a, b in pairs]
    if not all(known):
        return row
    ratios = [b / a for a, b in pairs]
    return dataclasses.replace(
        row, ratio=middles[1] / middles[0], spread=(min(ratios), max(ratios))
    )


def _middle(values: Sequence[Value]) -> Value | None:
    if not values:
        return None
    if any(isinstance(value, str) for value in values):
        return ", ".join(dict.fromkeys(map(str, values)))
    return statistics.median(values)
