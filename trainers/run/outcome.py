"""What goes into a run beside its settings, and what comes out of it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import keras

from tfbert.errors import UserError
from trainers.step.training_model import TrainingModel


@dataclasses.dataclass(frozen=True)
class OwnParts:
    """What a user brings in the place of ours.

    Attributes:
      task_class: called as the task that it stands for; None: that task.
      model_class: a TrainingModel that trains the task; None: ours.
      loss: (labels, answers) -> losses, see `use_loss`; None: the task's.
      callbacks: Keras callbacks, after those of every run.
    """

    task_class: Callable | None = None
    model_class: type[TrainingModel] | None = None
    loss: Callable | None = None
    callbacks: Sequence[keras.callbacks.Callback] = ()

    def __post_init__(self):
        """Raises UserError where a class is none of its kind."""
        if self.task_class is not None and not callable(self.task_class):
            raise UserError(
                "wanted task_class to be a subclass of a task of "
                f"tfbert.tasks, got {self.task_class!r}"
            )
        model_class = self.model_class
        if model_class is not None and not (
            isinstance(model_class, type)
            and issubclass(model_class, TrainingModel)
        ):
            raise UserError(
                "wanted model_class to be a subclass of TrainingModel "
                "(trainers.step.training_model), got "
                f"{model_class!r}"
            )


NOTHING_OWN = OwnParts()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A run that is over.

    Attributes:
      model: what was trained.
      figures: the figures of the run, with the "step" that they are of.
      history: name -> its value in each epoch, see `History`.
    """

    model: TrainingModel
    figures: dict[str, float]
    history: dict[str, list[float]]


class History(keras.callbacks.Callback):
    """Keeps what each epoch gave, over all calls of `fit` in a run.

    An epoch ends with an evaluation.

    Attributes:
      values: name -> its value in each epoch, those of validation under
        "val_..."; "step" is where the epoch ended. Epochs that were over
        when a run was resumed are not among them.
    """

    def __init__(self):
        super().__init__()
        self.values: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: Mapping | None = None) -> None:
        """Notes the values."""
        values = {"step": self.model.step, **(logs or {})}
        length = max(map(len, self.values.values()), default=0)
        for name, value in values.items():
            before = self.values.setdefault(name, [])
            # A figure that earlier epochs lacked.
            before += [float("nan")] * (length - len(before))
            before.append(value if name == "step" else float(value))
