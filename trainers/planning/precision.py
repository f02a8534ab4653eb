"""Which precision a device computes fastest: what `precision: auto` means.

A product with bfloat16 operands takes half the time of a float32 one where
the device has units for it (GPUs from Ampere on, TPUs, CPUs with AMX or
AVX512_BF16), and more than twice as long where it has not. So it is measured.
"""

import dataclasses
import logging
import statistics
import time
from pathlib import Path

from tfbert.errors import UserError
from tfbert.file_names import SETTINGS_FILE
from trainers.files.yaml_files import read_yaml

_log = logging.getLogger(__name__)

AUTO = "auto"
# Narrower models are trained in minutes, and float32 is exact. There a step is
# not what its products are: on a processor with AMX the products of BERT-tiny
# are 2.9 times faster in bfloat16, and whole steps of `fit` take 1.23 times
# less processor time with a vocabulary of 8,192 and 1.03 times with 30,522.
LEAST_WIDTH = 256
# What bfloat16 has to be better by: casts cost time too.
MARGIN = 1.1
_ROWS = 1024
_SECONDS = 0.05


def probe(hidden: int, inner: int, seconds: float = _SECONDS) -> float:
    """How much faster bfloat16 products are than float32 ones here.

    Args:
      hidden: H of the model.
      inner: width of its feed-forward layers.
      seconds: about how long it may take, beside the first calls.

    Returns:
      time in float32 / time in bfloat16, medians of calls in turn.
    """
    import tensorflow as tf

    @tf.function(autograph=False)
    def product(x, kernel):
        return tf.reduce_max(tf.matmul(x, kernel))

    arguments = {
        dtype: [
            tf.cast(tf.fill(shape, 1.0 / hidden), dtype)
            for shape in ([_ROWS, hidden], [hidden, inner])
        ]
        for dtype in ("float32", "bfloat16")
    }
    times = {dtype: [] for dtype in arguments}
    for one in arguments.values():
        product(*one).numpy()  # traces and warms up
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(times["float32"]) < 3:
        for dtype, one in arguments.items():
            before = time.perf_counter()
            product(*one).numpy()
            times[dtype].append(time.perf_counter() - before)
    middle = {dtype: statistics.median(taken) for dtype, taken in times.items()}
    return middle["float32"] / middle["bfloat16"]


def choose(config, kind: str = "") -> tuple[str, str]:
    """The faster precision for a model on this machine.

    Args:
      config: the encoder's BertConfig.
      kind: of the Distribution.

    Returns:
      ("bfloat16" or "float32", why).
    """
    if kind == "tpu":
        return "bfloat16", "what TPUs multiply in"
    if config.hidden_size < LEAST_WIDTH:
        return "float32", f"not tried on models below {LEAST_WIDTH} wide"
    ratio = probe(config.hidden_size, config.intermediate_size)
    name = "bfloat16" if ratio >= MARGIN else "float32"
    return name, f"products in bfloat16 take {1 / ratio:.2g} of float32's time"


def resolved(settings, config, distribution):
    """The settings with a precision in the place of auto; tells which.

    A run that is resumed goes on in the precision that it began in.

    Args:
      settings: has a section runtime.
      config: the encoder's BertConfig.
      distribution: all its workers take what the chief found.
    """
    from trainers.planning.budget import chiefs_value

    runtime = settings.runtime
    if runtime.precision != AUTO:
        return settings
    name = _of_run(Path(runtime.run_dir))
    why = "as this run began"
    if name is None:
        name, why = choose(config, distribution.kind)
    found = chiefs_value(distribution, int(name == "bfloat16"))
    if name != "float16":
        name = ("float32", "bfloat16")[found]
    if distribution.is_chief:
        _log.info(f"Precision: {name} ({why})")
    return dataclasses.replace(
        settings, runtime=dataclasses.replace(runtime, precision=name)
    )


def _of_run(run_dir: Path) -> str | None:
    """The precision in the settings of a run, None where there is none."""
    try:
        name = read_yaml(run_dir / SETTINGS_FILE)["runtime"]["precision"]
    except (UserError, KeyError, TypeError):
        return None
    return name if name in ("float32", "bfloat16", "float16") else None
