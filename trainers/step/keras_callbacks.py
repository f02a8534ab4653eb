"""Which of Keras' own callbacks a TrainingModel can have, and why not."""

from collections.abc import Iterable

import keras

from tfbert.errors import UserError

_SETS_RATE = (
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ReduceLROnPlateau,
)


def check_usable(
    callbacks: Iterable[keras.callbacks.Callback], optimizer=None
) -> None:
    """Refuses those that cannot do here what they promise.

    Args:
      callbacks: of one `fit`.
      optimizer: whose learning rate they would set; None: one that follows a
        schedule, as that of a run does.

    Raises:
      UserError: names the callback, the reason and what to do.
    """
    for callback in callbacks:
        name = type(callback).__name__
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise UserError(
                f"{name} forgets which batch comes next, and the step that "
                "dropout and masks are drawn by; a run goes on from its own "
                "checkpoints by itself (the same run_dir), so leave it out"
            )
        if isinstance(callback, keras.callbacks.ModelCheckpoint) and not (
            callback.save_weights_only
        ):
            raise UserError(
                f"{name} would save the model as a whole, and no file of ours "
                "holds code; give it save_weights_only=True, or leave it to "
                "the checkpoints and the export of a run"
            )
        if isinstance(callback, _SETS_RATE) and _is_scheduled(optimizer):
            raise UserError(
                f"{name} sets the learning rate, which follows a schedule "
                "here; choose optimization.schedule, warmup_steps and "
                "learning_rate instead, or compile a TrainingModel with an "
                "optimizer of a constant rate"
            )


def _is_scheduled(optimizer) -> bool:
    rate = getattr(optimizer, "_learning_rate", None)
    schedule = keras.optimizers.schedules.LearningRateSchedule
    return optimizer is None or isinstance(rate, schedule)
