"""Operations that have a faster form on one backend.

Each function exists in `plain` (keras.ops, every backend, the definition) and
may exist in a module for one backend, which must agree with the plain one in
value and gradient; the tests compare them. Callers see one function here and
never the backend.
"""

import keras

from tfbert.kernels import plain

_FAST = plain
if keras.backend.backend() == "tensorflow":
    from tfbert.kernels import tensorflow as _FAST  # noqa: N812

dense = _FAST.dense
dropout = _FAST.dropout
take_rows = _FAST.take_rows
vocabulary_losses = plain.vocabulary_losses
