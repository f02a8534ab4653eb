"""The keras.Model whose `fit` gives one update under every strategy.

Separation of concerns: a `tfbert.tasks.Task` says what is summed (losses,
weights, metrics); this module says how the sums of micro-batches, replicas
and workers become one update; Keras' `fit` calls it and the callbacks.

The step, on each replica:

    W      = all_reduce(sum of task.loss_weights(batch))      # a few scalars
    for each micro-batch:
        loss   = sum over objectives of loss_sum / W
        g     += gradient of loss                              # xla, if asked
        sums  += loss sums, metric sums
    g, sums = all_reduce(g, sums)                              # one collective
    norm    = global norm of g
    if norm is finite on the reduced g: optimizer(g * clip / max(norm, clip))

Because every sum is divided by a weight of the whole global batch, the update
does not depend on how the batch is cut into micro-batches, replicas and
workers, also when the pieces hold unequal numbers of masked tokens. Keras'
own `fit` divides per replica, clips before it reduces and fails on several
workers.
"""

import functools
import itertools

import keras
import numpy as np
import tensorflow as tf

from tfbert.optimizers.layer_decay import layer_rate
from tfbert.tasks.task import Task
from trainers.loop import compile_loop, means
from trainers.update import update_variables

SUM = tf.distribute.ReduceOp.SUM


class TrainingModel(keras.Model):
    """A task with the training step that Keras' `fit` calls.

    Create it, and call `compile`, under the scope of the strategy. Customise
    by overriding a task's `loss_sums`, or `train_step` here; `fit`, callbacks
    and strategies keep working.

    Args:
      task: what is learnt.
      seed: dropout is a pure function of (seed, step, micro-batch, replica,
        layer).
      accumulation_steps: micro-batches that one step's batch is cut into on
        each replica. Their number does not change the update.
      clip_norm: largest global norm of the reduced gradient; None: no limit.
      layer_decay: factor between the learning rates of one layer and of the
        layer below it (see layer_rate); 1: the same rate for all.
      xla: compile forward and backward pass with XLA. Collectives stay
        outside.

    Attributes:
      skip_evaluation: set when `fit` must end soon; `evaluate` then does
        nothing.
      step: updates so far, counted in Python so that nobody has to wait for
        the device to know it.
    """

    def __init__(
        self,
        task: Task,
        *,
        seed: int = 0,
        accumulation_steps: int = 1,
        clip_norm: float | None = 1.0,
        layer_decay: float = 1.0,
        xla: bool = False,
        name: str = "training",
    ):
        super().__init__(name=name)
        self.task = task
        self.seed = seed
        self.accumulation_steps = accumulation_steps
        self.clip_norm = clip_norm
        self.layer_decay = layer_decay
        self.step = 0
        self.skip_evaluation = False
        self._objectives = []
        self._steps_logged = []
        self._forward_backward = tf.function(
            self._forward_backward_body,
            jit_compile=xla or None,
            autograph=False,
        )
        # The task has built its variables; Keras has nothing left to build.
        self.built = True

    def call(self, batch, training=False, dropout_seed=None):
        """Returns the task's outputs for `batch`."""
        return self.task(batch, training=training, dropout_seed=dropout_seed)

    def compile(self, optimizer, steps_per_execution: int = 1, **kwargs):
        """Takes a Keras optimizer; builds its variables at once.

        Args:
          optimizer: its own clipping must be off: this model clips the
            reduced gradient.
          steps_per_execution: steps that one call of the compiled function
            runs before Python (callbacks, progress) has a turn.
          **kwargs: `run_eagerly` only; loss and metrics are the task's.

        Raises:
          ValueError: the optimizer clips, accumulates or scales by itself,
            or an argument is given that the task decides.
        """
        for setting in ("clipnorm", "global_clipnorm", "clipvalue"):
            if getattr(optimizer, setting, None):
                raise ValueError(
                    f"wanted an optimizer that does not clip, got {setting}="
                    f"{getattr(optimizer, setting)}; give clip_norm to "
                    "TrainingModel, which clips the reduced gradient"
                )
        if getattr(optimizer, "gradient_accumulation_steps", None):
            raise ValueError(
                "wanted an optimizer without gradient_accumulation_steps; "
                "give accumulation_steps to TrainingModel"
            )
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            raise ValueError(
                "wanted an optimizer that takes gradients as they are, got "
                "LossScaleOptimizer, which looks at one replica only"
            )
        unknown = set(kwargs) - {"run_eagerly"}
        if unknown:
            raise ValueError(
                f"loss and metrics come from the task; remove {sorted(unknown)}"
            )
        super().compile(
            optimizer=optimizer,
            steps_per_execution=steps_per_execution,
            jit_compile=False,
            auto_scale_loss=False,
            **kwargs,
        )
        with self.distribute_strategy.scope():
            optimizer.build(self.trainable_variables)

    # -- what runs on a replica ------------------------------------------

    def train_step(self, data):
        """One update from this replica's part of the global batch.

        Runs in replica context. An override returns the same kind of dict: a
        pair (sum, weight), already summed over replicas, is averaged over
        steps; a scalar shows its last value.

        Args:
          data: batch dict of this replica, [B, ...] each.

        Returns:
          dict of name -> (value_sum, weight_sum) or scalar, float32.
        """
        replica = tf.distribute.get_replica_context()
        weights = self._global_weights(data)
        gradients, sums = self._accumulate(data, weights)
        flat = tf.nest.flatten(sums)
        *gradients, flat = replica.all_reduce(SUM, [*gradients, tf.stack(flat)])
        sums = tf.nest.pack_sequence_as(sums, tf.unstack(flat))
        norm = tf.linalg.global_norm(gradients)
        learning_rate = tf.cast(self.optimizer.learning_rate, tf.float32)
        finite = self.apply_reduced_gradients(gradients, norm)
        return {
            **self._pairs(sums, weights),
            "learning_rate": learning_rate,
            "gradient_norm": norm,
            "loss_weight": next(iter(weights.values())),
            "tokens": sums["tokens"],
            "skipped": 1.0 - tf.cast(finite, tf.float32),
        }

    def test_step(self, data):
        """Global sums of losses and metrics of one batch; see train_step."""
        replica = tf.distribute.get_replica_context()
        weights = self._global_weights(data)
        sums = self._sums(data, self(data, training=False))
        flat = replica.all_reduce(SUM, tf.stack(tf.nest.flatten(sums)))
        sums = tf.nest.pack_sequence_as(sums, tf.unstack(flat))
        return self._pairs(sums, weights)

    def apply_reduced_gradients(self, gradients, norm):
        """Clips, then updates every replica's variables alike.

        Args:
          gradients: one per trainable variable, summed over replicas.
          norm: their global norm, float32 scalar. Inf and NaN on any replica
            reach it through the sum, so that all replicas skip together.

        Returns:
          bool scalar: whether the update was made.
        """
        finite = tf.math.is_finite(norm)
        factor = tf.constant(1.0)
        if self.clip_norm is not None:
            factor = self.clip_norm / tf.maximum(norm, self.clip_norm)
        # Keras' apply_gradients would sum over replicas a second time.
        tf.distribute.get_replica_context().merge_call(
            functools.partial(
                update_variables,
                self.optimizer,
                self.trainable_variables,
                [self._layer_rate(v) for v in self.trainable_variables],
            ),
            args=(gradients, factor, finite),
        )
        return finite

    def _layer_rate(self, variable) -> float:
        layers = self.task.config.num_hidden_layers
        return layer_rate(variable.path, layers, self.layer_decay)

    def _global_weights(self, data):
        """Each objective's weight summed over the global batch."""
        weights = self.task.loss_weights(data)
        self._objectives = list(weights)
        summed = tf.distribute.get_replica_context().all_reduce(
            SUM, tf.stack([weights[name] for name in weights])
        )
        return dict(zip(weights, tf.unstack(summed), strict=True))

    def _accumulate(self, data, weights):
        """Sums gradients and logged sums over this replica's micro-batches.

        Returns:
          (gradients of this replica, sums of this replica)
        """
        replica = tf.distribute.get_replica_context()
        seed = tf.random.experimental.stateless_fold_in(
            tf.constant([self.seed & 0x7FFFFFFF, 0x0D0], tf.int32),
            tf.cast(self.optimizer.iterations, tf.int32),
        )
        seed = tf.random.experimental.stateless_fold_in(
            seed, replica.replica_id_in_sync_group
        )
        k = self.accumulation_steps
        if k == 1:
            return self._forward_backward(data, weights, seed)
        data = {key: _cut(key, value, k) for key, value in data.items()}

        def micro_batch(index):
            part = {key: value[index] for key, value in data.items()}
            part_seed = tf.random.experimental.stateless_fold_in(seed, index)
            return self._forward_backward(part, weights, part_seed)

        first = micro_batch(0)

        def body(index, total):
            part = micro_batch(index)
            return index + 1, tf.nest.map_structure(tf.add, total, part)

        _, total = tf.while_loop(
            lambda index, _: index < k, body, (tf.constant(1), first)
        )
        return total

    def _forward_backward_body(self, data, weights, dropout_seed):
        """Gradients and sums of one micro-batch; no collective in here."""
        variables = [variable.value for variable in self.trainable_variables]
        with tf.GradientTape() as tape:
            outputs = self(data, training=True, dropout_seed=dropout_seed)
            sums = self._sums(data, outputs)
            loss = tf.add_n(
                [
                    tf.math.divide_no_nan(sums["losses"][name], weight)
                    for name, weight in weights.items()
                ]
            )
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        # The embedding's gradient comes as slices; the sum needs it whole.
        return [tf.convert_to_tensor(g) for g in gradients], sums

    def _sums(self, data, outputs):
        losses = self.task.loss_sums(data, outputs)
        metrics = self.task.metric_sums(data, outputs)
        sums = {"losses": losses, "metrics": metrics}
        sums["tokens"] = _real_tokens(data)
        return tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), sums)

    def _pairs(self, sums, weights):
        losses = {
            name: (sums["losses"][name], weight)
            for name, weight in weights.items()
        }
        return {**losses, **sums["metrics"]}

    # -- what Keras' fit and evaluate call ---------------------------------

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
        loop = compile_loop(
            self.distribute_strategy, step, steps, self.run_eagerly
        )

        def function(iterator):
            logged = loop(iterator)
            if training:
                self.step += steps
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
        iterator = iter(x)
        for step in itertools.count() if steps is None else range(steps):
            callbacks.on_test_batch_begin(step)
            try:
                logs = self.test_function(iterator)
            except (tf.errors.OutOfRangeError, StopIteration):
                break
            callbacks.on_test_batch_end(step, logs)
        logs = {k: float(v) for k, v in self.get_metrics_result().items()}
        callbacks.on_test_end(logs)
        return logs if return_dict else logs["loss"]

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


def _real_tokens(data):
    if "input_mask" not in data:
        return tf.constant(0.0)
    return tf.reduce_sum(tf.cast(data["input_mask"], tf.float32))


def _cut(key, value, parts):
    """[B, ...] -> [parts, B / parts, ...]."""
    size = value.shape[0]
    if size is None or size % parts:
        raise ValueError(
            f"wanted a batch per replica that accumulation_steps={parts} "
            f"divides, got {key} of shape {value.shape}"
        )
    return tf.reshape(value, [parts, size // parts, *value.shape[1:]])
