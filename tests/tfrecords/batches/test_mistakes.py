import pytest
import tensorflow as tf

from tfbert.errors import UserError
from tfrecords.batches import mistakes


def read(error):
    def fail(number):
        with mistakes.kept():
            if number == 2:
                raise error
        return number

    dataset = tf.data.Dataset.range(4).map(
        lambda number: tf.numpy_function(fail, [number], tf.int64)
    )
    with mistakes.raised():
        list(dataset.prefetch(2))


def test_a_mistake_comes_back_as_itself():
    error = UserError("the file is damaged")
    with pytest.raises(UserError) as caught:
        read(error)
    assert caught.value is error


def test_other_errors_stay_what_they_are():
    with pytest.raises(tf.errors.OpError, match="out of order"):
        read(ValueError("out of order"))
    with pytest.raises(tf.errors.ResourceExhaustedError):
        with mistakes.raised():
            with pytest.raises(UserError), mistakes.kept():
                raise UserError("of a batch that nobody asked for")
            raise tf.errors.ResourceExhaustedError(None, None, "no memory")
