"""A pretraining run in Python: its vectors, its guesses, its export."""

import dataclasses
import functools
import os
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np

from trainers.distributed.strategies import distribution_of
from trainers.files import new_folder
from trainers.files.run_folder import RunFolder
from trainers.pretraining import data as pretraining_data
from trainers.pretraining import exporting, text_input, training
from trainers.pretraining.settings import PretrainingSettings
from trainers.reports.served.asking import Asked, as_inputs, asked
from trainers.reports.served.exports import ExportOptions, export_options
from trainers.run import own_callbacks
from trainers.run.outcome import OwnParts


class Run:
    """A pretraining run.

    Attributes:
      model: the keras.Model that was trained.
      history: name -> its value in each epoch, those of held-out records
        under "val_...".
      figures: the last held-out values, and "step".
      run_dir: the folder of the run, which `tfbert.load_encoder` and
        `finetune(init_from=...)` take.
    """

    def __init__(
        self,
        run_dir: str | os.PathLike,
        model: keras.Model | None = None,
        history: dict[str, list[float]] | None = None,
        figures: dict[str, float] | None = None,
    ):
        self.run_dir = Path(run_dir)
        self.model, self.history, self.figures = model, history, figures

    def __repr__(self) -> str:
        return f"<a run of pretraining in {self.run_dir}>"

    def embed(self, texts: Iterable[str]) -> np.ndarray:
        """The vectors of texts, float32 [B, H]: the mean over their tokens.

        Raises:
          UserError: they are no texts.
        """
        rows = [answer["embedding"] for answer in self.predict(texts)]
        return np.array(rows, np.float32)

    def fill_mask(self, texts: Iterable[str]) -> list[list[list[dict]]]:
        """What may stand at each [MASK] of each text, the likeliest first.

        Returns:
          for each text, for each of its masks, dicts of "token" and "score".

        Raises:
          UserError: they are no texts.
        """
        return [one["masks"] for one in self.predict(texts, "fill_mask")]

    def score(self, texts: Iterable[str]) -> np.ndarray:
        """How likely texts are, float32 [B]: log-likelihoods in nats.

        Each token is masked in turn (Salazar et al. 2020).

        Raises:
          UserError: they are no texts.
        """
        answers = self.predict(texts, "score")
        return np.array([one["log_likelihood"] for one in answers], np.float32)

    def predict(
        self, texts: Iterable[str], signature: str = "serving_default"
    ) -> list[dict]:
        """What the export would answer, as `tfbert predict --json` prints it.

        Raises:
          UserError: they are no texts, or there is no such signature.
        """
        inputs = as_inputs(texts)
        if not inputs:
            return []
        model = self._asked(signature)
        model.check(inputs)
        return list(model.answer(inputs))

    def _asked(self, signature: str) -> Asked:
        servable, card, _ = self._served
        return asked(servable, card, signature)

    @functools.cached_property
    def _served(self):
        return exporting.served(RunFolder(self.run_dir), ExportOptions())

    def export(self, output: str | os.PathLike, **options: object) -> Path:
        """Writes the next version of a SavedModel that takes raw text.

        Args:
          output: folder of the versions, OUTPUT/1, OUTPUT/2, ...
          **options: fields of `ExportOptions`: precision, dtype, pooling,
            licence, limits.

        Raises:
          UserError: no such option, or `output` is in use.
        """
        folder = RunFolder(self.run_dir)
        return exporting.write_export(folder, output, export_options(options))


def run_of(
    settings: PretrainingSettings,
    data: object,
    text: tuple,
    own: tuple,
    batch_size_is_given: bool,
) -> Run | dict[str, float]:
    """Trains as `pretrain` says; see there.

    Args:
      settings: all settings.
      data: records or text.
      text: the fields of TextInput.
      own: the fields of OwnParts.
      batch_size_is_given: whether it is not to be made to fit few rows.

    Raises:
      UserError: as `training.train`.
    """
    *classes, callbacks = own
    parts = OwnParts(*classes, own_callbacks.checked(callbacks))
    how = text_input.TextInput(*text)
    share = how.share
    named = settings.data
    if how.held_out is not None and not share:
        named = dataclasses.replace(named, held_out=os.fspath(how.held_out))
    run_dir = settings.runtime.run_dir
    with new_folder.for_data(run_dir, settings.dry_run) as beside:
        if named.mixture is None:
            records = text_input.records_of(
                data, how, beside, settings.model.init_from
            )
            vocab = None if how.vocab is None else os.fspath(how.vocab)
            named = dataclasses.replace(named, records=records, vocab=vocab)
        settings = dataclasses.replace(settings, data=named)
        if not batch_size_is_given:
            settings = _with_batch_size(settings)
        with distribution_of(settings) as distribution:
            outcome = training.train(settings, distribution, parts)
    if settings.dry_run:
        return outcome.figures
    return Run(run_dir, outcome.model, outcome.history, outcome.figures)


def _with_batch_size(settings: PretrainingSettings) -> PretrainingSettings:
    """The batch size that fits few rows: a power of two."""
    rows = pretraining_data.open_training(settings.data).num_rows
    optimization = settings.optimization
    size = optimization.batch_size
    while size > max(rows, 1):
        size //= 2
    optimization = dataclasses.replace(optimization, batch_size=size)
    return dataclasses.replace(settings, optimization=optimization)
