"""The keras.Model whose `fit` gives one update under every strategy.

Separation of concerns: a `tfbert.tasks.Task` says what is summed (losses,
weights, metrics); this module says how the sums of micro-batches, replicas
and workers become one update; Keras' `fit` calls it and the callbacks.

The step, on each replica:

    W      = all_reduce(sum of task.loss_weights(batch))      # a few scalars
    for each micro-batch:
        loss   = sum over objectives of loss_sum / W
        g     += gradient of scale * loss                      # xla, if asked
        sums  += loss sums, metric sums
    g, sums = all_reduce(g, sums)                              # one collective
    g, norm = g / scale, global norm of that
    if norm is finite on the reduced g: optimizer(g * clip / max(norm, clip))

The scale is 1, but for float16 (trainers/step/loss_scale.py).

Because every sum is divided by a weight of the whole global batch, the update
does not depend on how the batch is cut into micro-batches, replicas and
workers, also when the pieces hold unequal numbers of masked tokens. Keras'
own `fit` divides per replica, clips before it reduces and fails on several
workers.
"""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from tfbert.optimizers.layer_decay import layer_rate
from tfbert.tasks.task import Task
from trainers.step.across_examples import vectors_of, with_gradients
from trainers.step.averaging import WeightAverage
from trainers.step.gradient_groups import group_norms
from trainers.step.learnt_variables import learnt_variables, with_gradient
from trainers.step.loop_model import LoopModel
from trainers.step.loss_scale import LossScale
from trainers.step.micro_batches import accumulate
from trainers.step.options import (
    DEFAULT_EXECUTION,
    DEFAULT_RULE,
    Execution,
    Rule,
)
from trainers.step.replica_sums import sum_over_replicas
from trainers.step.update import Update, check_optimizer, scaled


class TrainingModel(LoopModel):
    """A task with the training step that Keras' `fit` calls.

    Create it, and call `compile`, under the scope of the strategy. Customise
    by overriding a task's `loss_sums`, or `train_step` here; `fit`, callbacks
    and strategies keep working.

    Args:
      task: what is learnt.
      seed: dropout is a pure function of (seed, step, micro-batch, replica,
        layer).
      rule: what becomes of a reduced gradient: clipping, rates of layers,
        an average of the weights.
      execution: micro-batches, XLA, what travels and what is logged.

    Attributes:
      loss_scale: the LossScale of a task that computes in float16, else
        None.
      average: the WeightAverage, or None.
      learnt_variables: those that are trained: what the losses read and
        nobody has frozen. The others neither move nor decay, and have no
        moments.
      step, skip_evaluation: see LoopModel.
    """

    def __init__(
        self,
        task: Task,
        *,
        seed: int = 0,
        rule: Rule = DEFAULT_RULE,
        execution: Execution = DEFAULT_EXECUTION,
        name: str = "training",
    ):
        super().__init__(name=name)
        self.task = task
        self.seed = seed
        self.rule, self.execution = rule, execution
        self.loss_scale = None
        if task.compute_dtype == "float16":
            self.loss_scale = LossScale()
        self.average = None
        self.learnt_variables = list(task.trainable_variables)
        self._forward_backward = tf.function(
            self._forward_backward_body,
            jit_compile=execution.xla or None,
            autograph=False,
        )
        self._task_outputs = tf.function(
            self._task_outputs_body,
            jit_compile=execution.xla or None,
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
          ValueError: the optimizer clips, accumulates, averages or scales
            by itself, or an argument is given that the task decides.
        """
        check_optimizer(optimizer)
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
            learnt = learnt_variables(self.task, self.distribute_strategy)
            self.learnt_variables = learnt
            optimizer.build(learnt)
            if (decay := self.rule.average_decay) is not None:
                self.average = WeightAverage(learnt, decay)
        self._update = Update(
            optimizer, self._layer_rate, self.average, self.loss_scale
        )

    # -- state beside the task's and the optimizer's -----------------------

    @property
    def reduced_dtypes(self) -> set[str]:
        """Sums travel in float32, gradients as they are or as asked for."""
        if self.execution.all_reduce_dtype != "float32":
            return {"float32", self.execution.all_reduce_dtype}
        return {"float32"} | {v.dtype for v in self.trainable_variables}

    def before_first_step(self) -> None:
        """The average begins with the weights as training finds them."""
        if self.average is not None:
            self.average.reset()

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The averaged weights stand in the task inside, if there are any."""
        if self.average is None:
            yield
            return
        if self.step == 0:
            self.before_first_step()
        with self.average.swapped():
            yield

    @property
    def state_variables(self) -> dict[str, keras.Variable]:
        """What a checkpoint needs beside task and optimizer, by name.

        Save and restore it within `averaged()`: then the task holds the
        averages, and "training_weights/..." what is trained.
        """
        state = {} if self.loss_scale is None else self.loss_scale.variables()
        if self.average is not None:
            prefix = f"{self.task.path}/"
            for variable, average in zip(
                self.average.variables, self.average.averages, strict=True
            ):
                name = variable.path.removeprefix(prefix)
                state[f"training_weights/{name}"] = average
        return state

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
        weights = self._global_weights(data)
        scale = self._current_scale()
        gradients, sums = self._accumulate(data, weights, scale)
        gradients, sums = self._reduce(gradients, sums)
        norm = tf.linalg.global_norm(gradients) / scale
        learning_rate = tf.cast(self.optimizer.learning_rate, tf.float32)
        logs = {
            **self._pairs(sums, weights),
            "learning_rate": learning_rate,
            "gradient_norm": norm,
            "loss_weight": next(iter(weights.values())),
            "tokens": sums["tokens"],
            "places": sums["places"],
        }
        if self.execution.log_gradient_norms:
            norms = group_norms(gradients, self.learnt_variables)
            logs |= {name: value / scale for name, value in norms.items()}
        skipped = 1.0 - tf.cast(tf.math.is_finite(norm), tf.float32)
        if self.loss_scale is not None:
            # That a scale is too high is found out by skipping a step: only
            # a skip that lowering the scale cannot cure counts as one.
            failed = tf.cast(self.loss_scale.at_smallest(), tf.float32)
            logs["loss_scale"] = scale
            logs["overflow"] = skipped * (1.0 - failed)
            skipped *= failed
        self.apply_reduced_gradients(gradients, norm, scale)
        return {**logs, "skipped": skipped}

    def test_step(self, data):
        """Global sums of losses and metrics of one batch; see train_step."""
        return self.test_logs(data, self(data, training=False))

    def test_logs(self, data, outputs):
        """What test_step logs of the task's outputs."""
        weights = self._global_weights(data)
        if self.task.compares_examples:
            data = with_gradients(self.task, outputs["embedding"], data)
        sums = self._sums(data, outputs)
        flat = sum_over_replicas(tf.stack(tf.nest.flatten(sums)))
        sums = tf.nest.pack_sequence_as(sums, tf.unstack(flat))
        return self._pairs(sums, weights)

    def apply_reduced_gradients(self, gradients, norm, scale=1.0):
        """Clips, then updates every replica's variables alike.

        Args:
          gradients: one for each of `learnt_variables`, summed over replicas,
            each `scale` times too large.
          norm: the global norm without the scale, float32 scalar. Inf and NaN
            on any replica reach it through the sum, so that all replicas skip
            together.
          scale: float32 scalar.

        Returns:
          bool scalar: whether the update was made.
        """
        finite = tf.math.is_finite(norm)
        factor = tf.constant(1.0)
        if getattr(self.optimizer, "prenormalise", False):
            factor = tf.math.divide_no_nan(1.0, norm)
        elif (limit := self.rule.clip_norm) is not None:
            factor = limit / tf.maximum(norm, limit)
        gradients = scaled(gradients, factor / scale)
        # Keras' apply_gradients would sum over replicas a second time.
        tf.distribute.get_replica_context().merge_call(
            self._update.of(self.learnt_variables), args=(gradients, finite)
        )
        return finite

    def _layer_rate(self, variable) -> float:
        layers = self.task.config.num_hidden_layers
        return layer_rate(variable.path, layers, self.rule.layer_decay)

    def _global_weights(self, data):
        """Each objective's weight summed over the global batch."""
        weights = self.task.loss_weights(data)
        self._objectives = list(weights)
        summed = sum_over_replicas(tf.stack(list(weights.values())))
        return dict(zip(weights, tf.unstack(summed), strict=True))

    def _current_scale(self):
        """What losses are multiplied with before the backward pass."""
        if self.loss_scale is None:
            return tf.constant(1.0)
        return tf.convert_to_tensor(self.loss_scale.scale.value)

    def _accumulate(self, data, weights, scale):
        """Sums gradients and logged sums over this replica's micro-batches.

        Returns:
          (gradients of this replica, `scale` times too large; its sums)
        """
        replica = tf.distribute.get_replica_context()
        fold_in = tf.random.experimental.stateless_fold_in
        seed = fold_in(
            tf.constant([self.seed & 0x7FFFFFFF, 0x0D0], tf.int32),
            tf.cast(self.optimizer.iterations, tf.int32),
        )
        seed = fold_in(seed, replica.replica_id_in_sync_group)

        def compute(part, part_seed):
            return self._forward_backward(part, weights, scale, part_seed)

        pieces = self.execution.accumulation_steps
        if not self.task.compares_examples:
            return accumulate(compute, data, pieces, seed)
        if pieces > 1:

            def embed(part, part_seed):
                return self._task_outputs(part, part_seed)["embedding"]

            vectors = vectors_of(embed, data, pieces, seed)
            data = with_gradients(self.task, vectors, data)
        elif replica.num_replicas_in_sync > 1:
            return self._compared(data, weights, scale, seed)
        return accumulate(compute, data, pieces, seed)

    def _compared(self, data, weights, scale, seed):
        """A whole batch, compared with those of other replicas: one pass.

        Replicas meet between the two compiled parts, forward and backward.
        """
        with tf.GradientTape() as tape:
            outputs = self._task_outputs(data, seed)
            with tape.stop_recording():
                data = with_gradients(self.task, outputs["embedding"], data)
            sums = self._sums(data, outputs)
            loss = scale * _loss(sums, weights)
        return self._gradients(tape, loss), sums

    def _reduce(self, gradients, sums):
        """Sums gradients and logged sums over the replicas."""
        flat = tf.stack(tf.nest.flatten(sums))
        dtype = self.execution.all_reduce_dtype
        if dtype == "float32":
            *gradients, flat = sum_over_replicas([*gradients, flat])
        else:
            kept = [gradient.dtype for gradient in gradients]
            gradients = [tf.cast(g, dtype) for g in gradients]
            gradients = sum_over_replicas(gradients)
            flat = sum_over_replicas(flat)
            gradients = list(map(tf.cast, gradients, kept))
        return gradients, tf.nest.pack_sequence_as(sums, tf.unstack(flat))

    def _task_outputs_body(self, data, dropout_seed):
        """What the task makes of one micro-batch; no collective in here."""
        return self(data, training=True, dropout_seed=dropout_seed)

    def _forward_backward_body(self, data, weights, scale, dropout_seed):
        """Gradients and sums of one micro-batch; no collective in here."""
        with tf.GradientTape() as tape:
            outputs = self(data, training=True, dropout_seed=dropout_seed)
            sums = self._sums(data, outputs)
            loss = scale * _loss(sums, weights)
        return self._gradients(tape, loss), sums

    def _gradients(self, tape, loss) -> list[tf.Tensor]:
        """Of what is learnt, which is found out by asking for all."""
        variables = list(self.task.trainable_variables)
        gradients = tape.gradient(loss, [v.value for v in variables])
        self.learnt_variables, gradients = with_gradient(
            variables, gradients, getattr(self, "optimizer", None)
        )
        # The embedding's gradient comes as slices; the sum needs it whole.
        return [tf.convert_to_tensor(g) for g in gradients]

    def _sums(self, data, outputs):
        losses = self.task.loss_sums(data, outputs)
        metrics = self.task.metric_sums(data, outputs)
        sums = {"losses": losses, "metrics": metrics}
        sums["tokens"], sums["places"] = _tokens_and_places(self.task, data)
        return tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), sums)

    def _pairs(self, sums, weights):
        losses = {
            name: (sums["losses"][name], weight)
            for name, weight in weights.items()
        }
        return {**losses, **sums["metrics"]}


def _loss(sums, weights):
    """Each objective's part of the global mean, added up."""
    mean, losses = tf.math.divide_no_nan, sums["losses"]
    return tf.add_n([mean(losses[n], weight) for n, weight in weights.items()])


def _tokens_and_places(task, data):
    """Real tokens of a batch, and the places that its encoder computes."""
    if "input_mask" not in data:
        return tf.constant(0.0), tf.constant(0.0)
    tokens = tf.reduce_sum(tf.cast(data["input_mask"], tf.float32))
    places = task.encoder.places(data["input_mask"])
    return tokens, tf.cast(places, tf.float32)
