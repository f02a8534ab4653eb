"""Users' mistakes found while a dataset is read, told as what they are.

An exception in a function of a `tf.data` pipeline reaches the reader as an
error of TensorFlow's with a traceback for its text. The pipeline keeps the
original here, and whoever reads it gets that back:

    with mistakes.raised():
        model.fit(dataset)
"""

import contextlib

from tfbert.errors import UserError

_kept: list[UserError] = []


@contextlib.contextmanager
def kept():
    """Keeps a UserError on its way into TensorFlow."""
    try:
        yield
    except UserError as error:
        _kept.append(error)
        raise


@contextlib.contextmanager
def raised():
    """Raises the UserError that an error of TensorFlow's came from.

    Raises:
      UserError: the one that the pipeline kept.
    """
    import tensorflow as tf

    _kept.clear()
    try:
        yield
    except tf.errors.OpError as error:
        for mistake in _kept:
            # The text holds the original's; another error may come while one
            # is kept of a batch that nobody has asked for yet.
            if str(mistake) in error.message:
                raise mistake from None
        raise
