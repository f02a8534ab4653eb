"""Tensors in, tensors out: operations with a faster form on one backend.

Each function exists in `plain` (keras.ops, every backend, the definition) and
in a module for TensorFlow, which agrees with the plain one in value and
gradient; the tests compare them. Callers see one function here and never the
backend.
"""

import keras

if keras.backend.backend() == "tensorflow":
    from tfbert.fast_ops.tensorflow import (
        adam_step,
        add_bias,
        densify,
        dropout,
        gelu,
        in_parts,
        lay_apart,
        lay_together,
        recompute,
        take_rows,
        vocabulary_losses,
    )
else:
    from tfbert.fast_ops.plain import (
        adam_step,
        add_bias,
        densify,
        dropout,
        gelu,
        in_parts,
        lay_apart,
        lay_together,
        recompute,
        take_rows,
        vocabulary_losses,
    )

__all__ = [
    "adam_step",
    "add_bias",
    "densify",
    "dropout",
    "gelu",
    "in_parts",
    "lay_apart",
    "lay_together",
    "recompute",
    "take_rows",
    "vocabulary_losses",
]
