"""The loop below Keras' `fit` and `evaluate`, without Keras' own step.

Separation of concerns: a subclass says what one step does on a replica and
what it logs (trainers/step/training_model.py); this class compiles it for the
strategy, counts steps and puts logs together. Keras' `fit`, callbacks and
History stay.
"""

import contextlib
import itertools

import keras
import numpy as np
import tensorflow as tf

from trainers.step.compiled_loop import SKIP_RUNS, compile_loop, means
from trainers.step.keras_callbacks import check_usable
from trainers.step.reduction_proof import prove


class LoopModel(keras.Model):
    """A keras.Model whose steps log sums and weights, summed over replicas.

    A subclass defines `train_step` and `test_step`: replica's batch -> dict of
    name -> (value_sum, weight_sum) or scalar (see trainers.step.compiled_loop).

    Attributes:
      skip_evaluation: set when `fit` must end soon; `evaluate` then does
        nothing, or ends at its next batch and gives nothing.
      step: updates so far, counted in Python so that nobody has to wait for
        the device to know it.
      next_boundary: step -> the step at which a call that begins there ends
        at the latest, however many steps one call runs; None: nowhere.
      last_steps: how many steps the last call ran.
      skip_runs: `compiled_loop.SKIP_RUNS` of the last call, or None.
      time_data: log how long each batch was waited for; not with TensorFlow's
        deterministic operations, of which a clock is none.
      attended: how many tokens a token attends to, in the mean, where that is
        not the length of the batches' rows; None: it is.
    """

    def __init__(self, name: str):
        super().__init__(name=name)
        self.step = 0
        self.skip_evaluation = False
        self.next_boundary = None
        self.last_steps = 0
        self.skip_runs = None
        self.time_data = True
        self.attended: float | None = None
        # Names whose means add up to "loss".
        self._objectives = []
        self._steps_logged = []
        self._proven = set()

    @property
    def reduced_dtypes(self) -> set[str]:
        """In which dtypes sums over replicas travel."""
        return {"float32"}

    def before_first_step(self) -> None:
        """Called before the step that makes the first update of all."""

    def averaged(self) -> contextlib.AbstractContextManager:
        """What evaluations happen in; a subclass may exchange weights."""
        return contextlib.nullcontext()

    def fit(self, *arguments, callbacks=None, **named):
        """Keras' fit, without callbacks that cannot do what they promise.

        Raises:
          UserError: one of these is among them; see `check_usable`.
        """
        if callbacks is not None:
            among = getattr(callbacks, "callbacks", callbacks)
            among = among if isinstance(among, list | tuple) else [among]
            check_usable(among, self.optimizer)
        return super().fit(*arguments, callbacks=callbacks, **named)

    def make_train_function(self, force: bool = False):
        """Makes the function that `fit` calls with its iterator."""
        if self.train_function is None or force:
            self.train_function = self._make_loop(
                lambda data: self.train_step(data),
                self.steps_per_execution,
                training=True,
            )
        return self.train_function

    def make_test_function(self, force: bool = False):
        """Makes the function that `evaluate` calls with its iterator."""
        if self.test_function is None or force:
            self.test_function = self._make_loop(
                lambda data: self.test_step(data), 1, training=False
            )
        return self.test_function

    def _make_loop(self, step, steps, training):
        # A wrong sum would be of no error: find out before the first step.
        unproven = self.reduced_dtypes - self._proven
        prove(self.distribute_strategy, unproven)
        self._proven |= unproven
        loop = compile_loop(
            self.distribute_strategy,
            step,
            steps,
            self.run_eagerly,
            time_data=training and self.time_data,
        )

        def function(iterator):
            if training and self.step == 0:
                self.before_first_step()
            count = steps
            if training and steps > 1 and self.next_boundary is not None:
                left = self.next_boundary(self.step) - self.step
                count = max(min(steps, left), 1)
            logged = loop(iterator, tf.constant(count))
            runs = logged[1].pop(SKIP_RUNS, None)
            if training:
                self.step += count
                self.last_steps, self.skip_runs = count, runs
            self._steps_logged.append(logged)
            return means([logged], self._objectives)

        return function

    def evaluate(
        self,
        x,
        steps: int | None = None,
        callbacks=None,
        return_dict: bool = True,
        **_,
    ):
        """Losses and metrics over `x`, exact over batches and replicas.

        Unlike Keras' evaluate it starts the data over at every call, so that
        evaluations during `fit` see the same batches.

        Args:
          x: tf.data.Dataset or tf.distribute.DistributedDataset of batches.
          steps: at most this many; None: to the end of the data.
          callbacks: Keras callbacks, or the list that `fit` runs.
          return_dict: False returns only the loss.
          **_: what else Keras' `fit` passes; it has no meaning here.

        Returns:
          dict of name -> float.
        """
        if self.skip_evaluation:
            return {}
        if not isinstance(x, tf.distribute.DistributedDataset):
            x = self.distribute_strategy.experimental_distribute_dataset(x)
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = keras.callbacks.CallbackList(callbacks, model=self)
        self.make_test_function()
        self.reset_metrics()
        callbacks.on_test_begin()
        with self.averaged():
            self._test(iter(x), steps, callbacks)
        if self.skip_evaluation:
            callbacks.on_test_end({})
            return {}
        logs = {k: float(v) for k, v in self.get_metrics_result().items()}
        callbacks.on_test_end(logs)
        return logs if return_dict else logs["loss"]

    def _test(self, iterator, steps, callbacks):
        for step in itertools.count() if steps is None else range(steps):
            callbacks.on_test_batch_begin(step)
            try:
                logs = self.test_function(iterator)
            except (tf.errors.OutOfRangeError, StopIteration):
                break
            callbacks.on_test_batch_end(step, logs)
            if self.skip_evaluation:
                break

    def reset_metrics(self):
        """Forgets the sums of the steps so far."""
        super().reset_metrics()
        self._steps_logged = []

    def get_metrics_result(self):
        """Means over the steps since reset_metrics, summed in float64."""
        if not self._steps_logged:
            return {}
        logged = tf.nest.map_structure(np.float64, self._steps_logged)
        return means(logged, self._objectives)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing to build; Keras would take a batch of the data for it."""
