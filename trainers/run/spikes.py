"""Finds steps whose loss or gradient stands far above those before.

Median and median absolute deviation of the last steps say what is usual; both
are hardly moved by the outliers that are looked for (Leys et al. 2013,
"Detecting outliers: do not use standard deviation around the mean"). The
gradient's norm is compared on a logarithmic scale, as it varies by factors.
"""

import collections
import math
import statistics
from collections.abc import Mapping

# Of a normal distribution, 1.4826 x MAD is the standard deviation.
_TO_DEVIATION = 1.4826
# Least deviations: a stretch of equal values must not make a spike of noise.
# The loss is in nats, the norm in e-folds.
_LEAST = {"loss": 0.1, "gradient_norm": 0.4}
# Fewer values than this say nothing about what is usual.
_ENOUGH = 16


class SpikeDetector:
    """Remembers the last values of loss and gradient norm.

    Args:
      window: how many steps are remembered.
      threshold: deviations above the median that make a spike.
    """

    def __init__(self, window: int = 64, threshold: float = 8.0):
        self.threshold = threshold
        self._values = {
            name: collections.deque(maxlen=window) for name in _LEAST
        }

    def observe(self, values: Mapping[str, float]) -> str | None:
        """Compares a step's values with those before, then remembers them.

        Args:
          values: "loss" and "gradient_norm"; what is not finite is left out.

        Returns:
          a sentence about the spike, or None.
        """
        found = None
        for name, before in self._values.items():
            value = values.get(name, math.nan)
            if not math.isfinite(value) or (
                name == "gradient_norm" and value <= 0
            ):
                continue
            scaled = math.log(value) if name == "gradient_norm" else value
            if found is None and len(before) >= min(_ENOUGH, before.maxlen):
                found = self._judge(name, scaled, value, before)
            before.append(scaled)
        return found

    def _judge(self, name, scaled, value, before) -> str | None:
        median = statistics.median(before)
        deviation = statistics.median(abs(v - median) for v in before)
        scale = max(_TO_DEVIATION * deviation, _LEAST[name])
        if name == "loss":
            scale = max(scale, 0.05 * abs(median))
        if scaled <= median + self.threshold * scale:
            return None
        usual = math.exp(median) if name == "gradient_norm" else median
        return (
            f"{name.replace('_', ' ')} {value:.4g} is "
            f"{(scaled - median) / scale:.1f} deviations above the median of "
            f"{len(before)} steps ({usual:.4g})"
        )

    def state(self) -> dict[str, list[float]]:
        """What is remembered, as JSON has it: exact when it is read again."""
        return {name: list(values) for name, values in self._values.items()}

    def load(self, state: Mapping[str, list[float]]) -> None:
        """Remembers what `state` gave."""
        for name, values in self._values.items():
            values.clear()
            values.extend(state.get(name, []))
