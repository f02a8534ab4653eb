"""Writes the SavedModel of a run: what all kinds of exports share."""

import dataclasses
import difflib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from tfbert.errors import UserError
from tfbert.serving.graphs.request_bounds import DEFAULT, Limits
from tfbert.serving.graphs.servable import Servable
from tfbert.serving.package import versions
from tfbert.text.windows.long_texts import HOW
from trainers.files.run_folder import RunFolder
from trainers.reports.served import model_card, stored_weights

_log = logging.getLogger(__name__)
_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
_CHOICES = {
    "checkpoint": ("best", "last"),
    "precision": tuple(_POLICIES),
    "dtype": ("float32", "bfloat16", "float16"),
    "pooling": ("mean", "cls", "max", None),
    "calibrate": (True, False),
    "long_texts": (*HOW, None),
}


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """How a run is exported.

    Attributes:
      checkpoint: "best" on validation data, or "last".
      precision: "float32" or "bfloat16", of the arithmetic.
      dtype: "float32", "bfloat16" or "float16", of the weights in the file.
      pooling: of a pretraining run's vectors, "mean", "cls" or "max"; None:
        as the run says, else mean.
      licence: terms under which the model may be used.
      limits: of what one request may ask for.
      calibrate: of a fine-tuned run, whether probabilities have the
        temperature that validation found.
      long_texts: of a pretraining run's vectors, what becomes of texts that
        are longer than a row: "head", "head_tail" or "windows"; None: head.

    Raises:
      UserError: there is no such choice.
    """

    checkpoint: str = "best"
    precision: str = "float32"
    dtype: str = "float32"
    pooling: str | None = None
    licence: str | None = None
    limits: Limits = DEFAULT
    calibrate: bool = True
    long_texts: str | None = None

    def __post_init__(self):
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise UserError(
                    f"wanted {name} of {', '.join(map(str, choices))}, got "
                    f"{value!r}"
                )

    @property
    def policy(self) -> str:
        """The Keras dtype policy of the precision."""
        return _POLICIES[self.precision]


def export_options(given: Mapping[str, object]) -> ExportOptions:
    """The options that keywords give.

    Raises:
      UserError: there is no such option.
    """
    known = [field.name for field in dataclasses.fields(ExportOptions)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1) or known[:1]
            raise UserError(
                f"there is no option {name} of an export; the nearest is "
                f"{near[0]} (of {', '.join(known)})"
            )
    return ExportOptions(**given)


def store(
    servable: Servable,
    layer,
    dtype: str,
    measure: stored_weights.Measure | None = None,
    data: Path | None = None,
) -> dict[str, dict]:
    """Stores weights as `dtype`; returns what the model card says of it."""
    facts = stored_weights.store(servable, layer, dtype, measure, data)
    for name, value in facts.items():
        _log.info(f"{name}: {value}")
    return {"Stored weights": facts}


def write(
    servable: Servable,
    output: str | os.PathLike,
    card: Mapping[str, object],
    run: RunFolder,
    weights: Path,
    options: ExportOptions,
    more: Mapping[str, object],
) -> Path:
    """Writes the next version; returns its folder.

    Args:
      servable: what is exported.
      output: folder of the versions.
      card: the facts of model.json.
      run: where it comes from.
      weights: the file that the weights come from.
      options: how it is exported.
      more: further sections of the model card.
    """
    card = {
        **card,
        "run": str(run.path.absolute()),
        "precision": options.precision,
        "dtype": options.dtype,
    }
    about = model_card.sections(run, weights, options.licence, card)
    return versions.write_version(servable, output, card, {**about, **more})
