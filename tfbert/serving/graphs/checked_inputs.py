"""Requests as a signature promises to take them, or an error.

A server compares names and types of inputs, not their shapes, and the graph
is run by whoever can reach the server.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping

import tensorflow as tf

from tfbert.config import BertConfig


def signature(*specs: tf.TensorSpec) -> Callable:
    """Makes a signature of a function; every signature is made by it.

    The names of the arguments become those of the inputs of a request. A
    server does not look at shapes: a request of another rank would reach the
    operations, some of which then end the process. So the graph itself
    refuses it, and requests whose inputs have different numbers of rows.

    Args:
      specs: shape and dtype of each argument.

    Returns:
      A decorator; it gives a tf.function with an input signature.
    """

    def decorate(function):
        names = list(inspect.signature(function).parameters)

        @functools.wraps(function)
        def checked(*inputs, **named):
            named |= zip(names, inputs, strict=False)
            given = [named[name] for name in names]
            return function(*as_promised(names, given, specs))

        return tf.function(checked, input_signature=specs)

    return decorate


def as_promised(
    names: Iterable[str],
    inputs: Iterable[tf.Tensor],
    specs: Iterable[tf.TensorSpec],
) -> list[tf.Tensor]:
    """The inputs of a request, but an error where their shapes are others.

    Each has the rank and the known dimensions of its spec, and two have the
    dimensions in common that both have: the rows, and of ids the places.
    """
    names, checked = list(names), []
    for name, value, spec in zip(names, inputs, specs, strict=True):
        # The operation's name is in the message that the client gets.
        checked.append(tf.ensure_shape(value, spec.shape, f"wanted_{name}"))
    refusals = []
    for name, value in zip(names[1:], checked[1:], strict=True):
        first = tf.shape(checked[0])[: value.shape.rank]
        own = tf.shape(value)[: checked[0].shape.rank]
        message = f"wanted {name} of as many rows as {names[0]}"
        refusals.append(tf.debugging.assert_equal(own, first, message))
    with tf.control_dependencies(refusals):
        return [tf.identity(value) for value in checked]


def check_ids(
    batch: Mapping[str, tf.Tensor], config: BertConfig
) -> dict[str, tf.Tensor]:
    """The batch of token inputs, but an error where the model lacks an id.

    A segment that is not there would count as none, and on some devices a
    token likewise.
    """
    sizes = {
        "input_ids": config.vocab_size,
        "segment_ids": config.type_vocab_size,
    }
    checked = dict(batch)
    for name, size in sizes.items():
        inside = tf.reduce_all((batch[name] >= 0) & (batch[name] < size))
        message = f"wanted {name} from 0 to {size - 1}"
        with tf.control_dependencies([tf.debugging.Assert(inside, [message])]):
            checked[name] = tf.identity(batch[name])
    return checked
