"""Which of a task's variables its losses read.

The others (the pooler in masked-LM pretraining, say) get no gradient. They
are left out of training altogether: no update, no weight decay, no moments.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from tfbert.tasks.task import Task

# A short batch: what is read does not depend on the number of tokens.
_LENGTH = 4


def learnt_variables(
    task: Task, strategy: tf.distribute.Strategy
) -> list[keras.Variable]:
    """The trainable variables that the task's losses are made of.

    The losses of the task's `input_signature` are traced, not computed. A
    task without a signature is taken to read all: the step then finds out
    which gradients there are.

    Args:
      task: built.
      strategy: in whose scope the variables are.
    """
    variables = list(task.trainable_variables)
    try:
        signature = task.input_signature(1, sequence_length=_LENGTH)
        batch = {
            name: tf.TensorSpec(tensor.shape, tensor.dtype)
            for name, tensor in signature.items()
        }

        def losses(batch):
            seed = tf.zeros([2], tf.int32)
            outputs = task(batch, training=True, dropout_seed=seed)
            return list(task.loss_sums(batch, outputs).values())

        traced = tf.function(losses, autograph=False)
        read = _reads(traced.get_concrete_function(batch))
    except Exception:  # The user's code: the step will say what is wrong.
        return variables
    return [v for v in variables if _handles(v, strategy) & read]


def _reads(function: Callable) -> set[int]:
    """Ids of the resources that a traced function's results depend on."""
    graph = function.graph
    outside = {id(inner): id(outer) for outer, inner in graph.captures}
    waiting = [tensor.op for tensor in graph.outputs]
    seen, read = set(), set()
    while waiting:
        operation = waiting.pop()
        if operation in seen:
            continue
        seen.add(operation)
        for tensor in operation.inputs:
            if id(tensor) in outside:
                read.add(outside[id(tensor)])
            waiting.append(tensor.op)
    return read


def _handles(variable: keras.Variable, strategy) -> set[int]:
    """Ids of a variable's resources, one on each replica of this worker."""
    components = strategy.experimental_local_results(variable.value)
    return {id(component.handle) for component in components}


def with_gradient(
    variables: list[keras.Variable],
    gradients: list,
    optimizer: keras.optimizers.Optimizer | None,
) -> tuple[list, list]:
    """Leaves out the variables that the loss does not depend on.

    Args:
      variables: trainable ones.
      gradients: one for each; None where there is none.
      optimizer: built on what was found to be learnt, or None.

    Returns:
      (variables, gradients), each of those that have one.

    Raises:
      ValueError: a variable has a gradient, and the optimizer does not know
        it.
    """
    pairs = [
        pair
        for pair in zip(variables, gradients, strict=True)
        if pair[1] is not None
    ]
    if optimizer is not None:
        known = {v.path for v in optimizer._trainable_variables}
        unknown = [v.path for v, _ in pairs if v.path not in known]
        if unknown:
            raise ValueError(
                "wanted the variables that were learnt when the model was "
                f"compiled, got a gradient of {', '.join(unknown)} too; call "
                "compile again after a layer is made trainable, and let the "
                "task's input_signature name all that its batches hold"
            )
    return [v for v, _ in pairs], [g for _, g in pairs]
