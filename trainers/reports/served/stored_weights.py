"""What it costs to store an export's weights in fewer bytes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfbert.serving.graphs.servable import Servable

# Gives figures and, by name, the outputs of all rows, as the weights are now.
Measure = Callable[[], tuple[dict[str, float], dict[str, np.ndarray]]]


def store(
    servable: Servable,
    layer,
    dtype: str,
    measure: Measure | None = None,
    data: Path | None = None,
) -> dict[str, object]:
    """Makes a servable store its weights as `dtype`.

    What can be measured is, with the weights as they were and as they are
    stored.

    Args:
      servable: what is exported; it is changed.
      layer: the layer in it; its weights are rounded.
      dtype: "bfloat16" or "float16".
      measure: measures the layer; None: nothing can be.
      data: what it is measured on.

    Returns:
      Facts for the model card.
    """
    size = sum(
        v.value.dtype.size * int(tf.size(v.value)) for v in layer.weights
    )
    measured = [measure()] if measure else []
    _round(layer, dtype)
    servable.store_as(dtype)
    stored = sum(
        v.dtype.size * int(tf.size(v)) for v in servable.layer_variables
    )
    facts = {
        "weights are stored as": dtype,
        "bytes of weights": f"{stored:,}; {size:,} as they were",
    }
    if measure is None:
        return facts | {"cost": "not measured: no validation file is there"}
    measured.append(measure())
    (before, outputs), (after, stored_outputs) = measured
    facts["measured on"] = f"`{data}`"
    for name, values in outputs.items():
        difference = np.abs(values - stored_outputs[name]).max(initial=0)
        facts[f"largest difference of {name}"] = f"{difference:.3g}"
    for name, value in before.items():
        facts[name] = f"{after[name]:.6g}; {value:.6g} as they were"
    return facts


def _round(layer, dtype: str) -> None:
    for variable in layer.weights:
        if variable.value.dtype.is_floating:
            rounded = tf.cast(variable.value, dtype)
            variable.assign(tf.cast(rounded, variable.dtype))
