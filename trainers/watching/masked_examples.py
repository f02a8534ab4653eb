"""Held-out rows as text at each evaluation: original, masked, predicted."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfbert.file_names import TENSORBOARD_FOLDER
from tfrecords import layout
from tfrecords.batches.batch import AnyRecords
from tfrecords.batches.dataset import evaluation_batches
from tfrecords.masking.masking import Masking
from trainers.watching.metrics_log import warn_log_failed
from trainers.watching.watcher import VALIDATION_PREFIX

TAG = "masked_examples"
# A row this long fills a screen.
MOST_TOKENS = 160


class MaskedExamples(keras.callbacks.Callback):
    """Writes the same masked rows with new predictions to TensorBoard.

    Args:
      run_dir: folder of the run.
      held_out: where the rows come from.
      masking: how tokens are hidden.
      seed: of the masks.
      rows: how many rows.
    """

    def __init__(
        self,
        run_dir: str | os.PathLike,
        held_out: AnyRecords,
        masking: Masking,
        seed: int = 0,
        rows: int = 4,
    ):
        super().__init__()
        self.folder = Path(run_dir) / TENSORBOARD_FOLDER / "validation"
        self._tokens = held_out.vocabulary
        self._classes = held_out.classes
        batches, _ = evaluation_batches(
            held_out,
            masking,
            seed=seed,
            global_batch_size=rows,
            max_rows=min(rows, held_out.num_rows),
        )
        self._batch = next(batches.as_numpy_iterator())
        self._predict = None
        self._writer: tf.summary.SummaryWriter | None = None
        self._warned = False

    def on_epoch_end(self, epoch: int, logs: Mapping | None = None) -> None:
        """Writes after an evaluation."""
        if not any(n.startswith(VALIDATION_PREFIX) for n in logs or {}):
            return
        try:
            answers = self.answers()
            if self._writer is None:
                self._writer = tf.summary.create_file_writer(str(self.folder))
            with self._writer.as_default(step=self.model.step):
                tf.summary.text(TAG, self.texts(answers))
            self._writer.flush()
        # A task may have other outputs, and a device may not run a forward
        # pass by itself (a TPU, outside of strategy.run): no run ends by what
        # only shows it.
        except Exception as error:
            if not self._warned:
                warn_log_failed(self.folder, error)
            self._warned = True

    def answers(self) -> np.ndarray:
        """The most probable token at each masked place, int32 [B, P]."""
        if self._predict is None:
            self._predict = tf.function(
                lambda batch: self.model.task(batch)["masked_lm_answers"],
                autograph=False,
            )
        batch = {name: tf.constant(v) for name, v in self._batch.items()}
        with self.model.averaged():
            return self._predict(batch).numpy()

    def texts(self, answers: np.ndarray) -> list[str]:
        """A Markdown table for each row that has predictions.

        Args:
          answers: int [B, P].
        """
        tables = []
        for row, predicted in enumerate(answers):
            taken = self._batch[layout.MASKED_LM_WEIGHTS][row] > 0
            places = self._batch[layout.MASKED_LM_POSITIONS][row][taken]
            if not len(places):
                continue
            masked = self._batch[layout.INPUT_IDS][row]
            original, filled = masked.copy(), masked.copy()
            original[places] = self._batch[layout.MASKED_LM_IDS][row][taken]
            filled[places] = predicted[taken]
            right = places[filled[places] == original[places]]
            lines = {
                "original": self._text(original, places, "_{}_"),
                "masked": self._text(masked, places, "**{}**"),
                f"predicted ({len(right)} of {len(places)} right)": (
                    self._text(filled, right, "**{}**", places)
                ),
            }
            rows = [f"| {name} | {text} |" for name, text in lines.items()]
            tables.append("\n".join(["| | |", "|---|---|", *rows]))
        return tables

    def _text(
        self,
        ids: np.ndarray,
        marked: np.ndarray,
        mark: str,
        wrong: Sequence[int] = (),
    ) -> str:
        """The row, `marked` places in `mark`, other `wrong` ones struck."""
        words = []
        marked, wrong = set(map(int, marked)), set(map(int, wrong))
        for place, token in enumerate(ids[:MOST_TOKENS]):
            if token == self._classes.pad_id:
                break
            text = self._tokens[token]
            piece = text.startswith("##") and place > 0
            text = _escaped(text.removeprefix("##") if piece else text)
            if place in marked:
                text = mark.format(text)
            elif place in wrong:
                text = f"~~{text}~~"
            words.append(text if piece else f" {text}")
        if len(ids) > MOST_TOKENS and ids[MOST_TOKENS] != self._classes.pad_id:
            words.append(" ...")
        return "".join(words).strip()

    def on_train_end(self, logs: Mapping | None = None) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _escaped(token: str) -> str:
    """A token whose characters mean nothing in Markdown."""
    return "".join(f"\\{c}" if c in "\\`*_|~<>#" else c for c in token)
