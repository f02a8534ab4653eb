"""What it costs to store an export's weights in fewer bytes."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfbert.serving.graphs.servable import Servable
from trainers.evaluate import predict
from trainers.files.run_folder import RunFolder
from trainers.finetuning.saved_run import FinetunedRun

_BATCH_SIZE = 64


def store(
    servable: Servable,
    layer,
    dtype: str,
    run: FinetunedRun | RunFolder,
) -> dict[str, object]:
    """Makes a servable store its weights as `dtype`.

    Of a fine-tuned run whose validation file is still there, all outputs and
    figures are computed with the weights as they were and as they are stored.

    Args:
      servable: what is exported; it is changed.
      layer: the layer in it; its weights are rounded.
      dtype: "bfloat16" or "float16".
      run: the run that it is of.

    Returns:
      Facts for the model card.
    """
    size = sum(
        v.value.dtype.size * int(tf.size(v.value)) for v in layer.weights
    )
    data = _validation(run)
    measured = [_measure(run, layer, data)] if data else []
    _round(layer, dtype)
    servable.store_as(dtype)
    stored = sum(
        v.dtype.size * int(tf.size(v)) for v in servable.layer_variables
    )
    facts = {
        "weights are stored as": dtype,
        "bytes of weights": f"{stored:,}; {size:,} as they were",
    }
    if not data:
        return facts | {"cost": "not measured: no validation file is there"}
    measured.append(_measure(run, layer, data))
    (before, outputs), (after, stored_outputs) = measured
    facts["measured on"] = f"`{data}`"
    for name, values in outputs.items():
        difference = np.abs(values - stored_outputs[name]).max(initial=0)
        facts[f"largest difference of {name}"] = f"{difference:.3g}"
    for name, value in before.items():
        facts[name] = f"{after[name]:.6g}; {value:.6g} as they were"
    return facts


def _validation(run) -> Path | None:
    """The validation file of a fine-tuned run, if it is there."""
    if not isinstance(run, FinetunedRun):
        return None
    path = RunFolder(run.path).settings.get("data", {}).get("validation")
    if isinstance(path, str) and Path(path).is_file():
        return Path(path)
    return None


def _measure(run: FinetunedRun, task, data: Path):
    """(figures, outputs of all rows) of a task."""
    examples = run.read_examples(data)
    encoded = run.encode(examples)
    outputs = predict(task, encoded.columns, run.kind.outputs, _BATCH_SIZE)
    result = run.kind.evaluate(examples, encoded, outputs, step=0)
    numbers = {
        name: values.astype(np.float32)
        for name, values in outputs.items()
        if values.dtype != object
    }
    return result.figures, numbers


def _round(layer, dtype: str) -> None:
    for variable in layer.weights:
        if variable.value.dtype.is_floating:
            rounded = tf.cast(variable.value, dtype)
            variable.assign(tf.cast(rounded, variable.dtype))
