"""Activation functions by the names of `hidden_act`."""

from collections.abc import Callable

from keras import ops

from tfbert import fast_ops


def gelu(x):
    """x Phi(x) with the error function (Hendrycks & Gimpel 2016)."""
    return fast_ops.gelu(x)


def gelu_new(x):
    """The tanh approximation of gelu, which Google's BERT code computes."""
    return ops.gelu(x, approximate=True)


ACTIVATIONS: dict[str, Callable] = {
    "gelu": gelu,
    "gelu_new": gelu_new,
    "relu": ops.relu,
    "silu": ops.silu,
}
