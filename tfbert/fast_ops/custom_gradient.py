"""tf.custom_gradient whose graphs can be freed."""

import functools
import weakref
from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.framework import ops


def custom_gradient(function: Callable) -> Callable:
    """As tf.custom_gradient; its gradients live as long as their graph.

    TensorFlow puts the gradient of each use in a graph into a table of the
    process and never takes it out, and with it stay the graph and all
    variables that it reads: who trains several models in one process keeps
    the weights and moments of all of them (TensorFlow's issues 27492 and
    97697). Here the graph holds the gradient, and the table only points at it.

    Args:
      function: tensors -> (results, function: their gradients -> those of
        the arguments). It reads no variables.
    """
    decorated = tf.custom_gradient(function)

    @functools.wraps(function)
    def call(*arguments):
        return owned_by_graph(decorated(*map(_of_this_graph, arguments)))

    return call


def _of_this_graph(argument):
    """Branches of tf.cond take no gradients of tensors from outside of them."""
    outside = getattr(argument, "graph", None) not in (
        None,
        ops.get_default_graph(),
    )
    if outside and not tf.executing_eagerly():
        return tf.identity(argument)
    return argument


def owned_by_graph(results):
    """Makes the graph the owner of the custom gradient of `results`.

    Args:
      results: what a call of something with a tf.custom_gradient returned.

    Returns:
      results.
    """
    if not tf.executing_eagerly():
        operations = {id(r.op): r.op for r in tf.nest.flatten(results)}
        for operation in operations.values():
            if operation.type == "IdentityN":
                _hand_over(operation)
    return results


def _hand_over(operation: tf.Operation) -> None:
    name = operation.get_attr("_gradient_op_type").decode()
    table = ops.gradient_registry._registry
    gradient = table[name]["type"]
    graph = operation.graph
    if not hasattr(graph, "_custom_gradients"):
        graph._custom_gradients = []
    graph._custom_gradients.append(gradient)
    pointer = weakref.ref(gradient)
    table[name]["type"] = lambda *arguments: pointer()(*arguments)
    weakref.finalize(graph, table.pop, name, None).atexit = False
