"""Activation functions by the names of `hidden_act`."""

from collections.abc import Callable

from keras import ops

from tfbert import kernels


def gelu(x):
    """x Phi(x) with the error function (Hendrycks & Gimpel 2016)."""
    return kernels.gelu(x)


def gelu_new(x):
    """The tanh approximation of gelu, which Google's BERT code computes."""
    return ops.gelu(x, approximate=True)


ACTIVATIONS: dict[str, Callable] = {
    "gelu": gelu,
    "gelu_new": gelu_new,
    "relu": ops.relu,
    "silu": ops.silu,
}
