"""The training model whose evaluations judge all predictions together.

F1, correlations and exact match are no means over batches. So an evaluation
predicts the whole set under the strategy, brings the predictions of all
replicas and workers together, each example once and in the file's order, and
lets the kind of task judge them: the figures are exact on any number of
replicas, and equal on all workers.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from trainers.step.across_examples import gather
from trainers.step.training_model import TrainingModel

# Before the name of an output among what a step logs.
_OUTPUT = "output:"

Judge = Callable[[dict[str, np.ndarray]], dict[str, float]]


class JudgedModel(TrainingModel):
    """A TrainingModel whose `evaluate` gives a judge's figures too."""

    # Nothing is judged until `judge_by` says how.
    _outputs: Sequence[str] = ()
    _predicted: Sequence[dict] = ()

    def judge_by(self, outputs: Sequence[str], rows: int, judge: Judge) -> None:
        """Says how evaluations are judged; call it before training.

        Args:
          outputs: names of the task's outputs, [B, ...] each.
          rows: R, how many rows of the validation batches are examples; the
            rest fills the last batch up.
          judge: name -> [R, ...] gives figures by name.
        """
        self._outputs, self._rows, self._judge = tuple(outputs), rows, judge

    def test_step(self, data):
        """As TrainingModel's; the outputs of all replicas beside.

        In float32 whatever the training computes in, as `tfbert evaluate` and
        exports: their figures are the same, and so is what a threshold that
        is chosen here means to them.
        """
        with computed_in_float32(self.task):
            outputs = self(data, training=False)
        gathered = {f"{_OUTPUT}{n}": gather(outputs[n]) for n in self._outputs}
        return {**self.test_logs(data, outputs), **gathered}

    def make_test_function(self, force: bool = False):
        """Makes the function for `evaluate`; it lays the outputs aside."""
        if self.test_function is not None and not force:
            return self.test_function
        step = super().make_test_function(force=True)

        def function(iterator):
            logs = step(iterator)
            _, logged = self._steps_logged[-1]
            self._predicted.append(
                {n: logged.pop(f"{_OUTPUT}{n}") for n in self._outputs}
            )
            return {k: v for k, v in logs.items() if _OUTPUT not in k}

        self.test_function = function
        return function

    def reset_metrics(self):
        """Forgets sums and outputs of the steps so far."""
        super().reset_metrics()
        self._predicted = []

    def get_metrics_result(self):
        """The means over the steps; of an evaluation the figures too."""
        logs = super().get_metrics_result()
        if not self._outputs or not self._predicted:
            return logs
        whole = {
            name: np.concatenate([step[name] for step in self._predicted])
            for name in self._outputs
        }
        rows = {name: array[: self._rows] for name, array in whole.items()}
        return {**logs, **self._judge(rows)}


def judged(model_class: type[TrainingModel] | None) -> type[JudgedModel]:
    """The class whose `evaluate` gives figures and that trains as wanted.

    Args:
      model_class: a TrainingModel; None: as JudgedModel does.
    """
    if model_class is None:
        return JudgedModel
    if issubclass(model_class, JudgedModel):
        return model_class
    return type(model_class.__name__, (model_class, JudgedModel), {})


@contextlib.contextmanager
def computed_in_float32(task) -> Iterator[None]:
    """What is traced inside computes in float32; the weights are the same."""
    layers = list(task._flatten_layers())
    policies = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = "float32"
        yield
    finally:
        for layer, policy in zip(layers, policies, strict=True):
            layer.dtype_policy = policy
