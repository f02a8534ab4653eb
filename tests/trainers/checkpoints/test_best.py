import errno
import shutil
import types
from unittest.mock import Mock

import keras
import numpy as np
import pytest

from tfbert.errors import UserError
from tfbert.weights.variables import named_variables, read_tensors
from trainers.checkpoints import best
from trainers.checkpoints.files import SaveError


class Layer(keras.layers.Layer):
    def __init__(self):
        super().__init__(name="layer")
        self.kernel = self.add_weight(shape=(2,), name="kernel")


@pytest.fixture
def keeper(tmp_path):
    callback = best.KeepBest(tmp_path)
    callback.set_model(types.SimpleNamespace(task=Layer(), step=0))
    callback.on_train_begin()
    return callback


def validate(keeper, step, accuracy, loss=1.0):
    keeper.model.step = step
    keeper.model.task.kernel.assign([step, step])
    keeper.on_epoch_end(
        0, {"loss": 9, "val_accuracy": accuracy, "val_loss": loss}
    )


def test_the_highest_metric_stays(keeper):
    for step, accuracy in [(1, 0.5), (2, 0.7), (3, 0.6), (4, float("nan"))]:
        validate(keeper, step, accuracy)
    values = best.read_best(keeper.path)
    assert values == {"step": 2, "accuracy": 0.7, "loss": 1.0}
    [kernel] = read_tensors(keeper.path).values()
    assert kernel.tolist() == [2, 2]


def test_the_lower_loss_decides_between_equals_then_the_earlier_step(keeper):
    for step, loss in [(1, 0.9), (2, 0.8), (3, 0.8), (4, 0.85)]:
        validate(keeper, step, 0.5, loss)
    assert best.read_best(keeper.path)["step"] == 2


def test_an_epoch_without_validation_changes_nothing(keeper):
    keeper.on_epoch_end(0, {"loss": 1.0})
    keeper.on_epoch_end(0, None)
    assert not keeper.path.exists()


def test_a_resumed_run_goes_on_from_the_best_before(keeper, tmp_path):
    validate(keeper, 5, 0.7)
    resumed = best.KeepBest(tmp_path)
    resumed.set_model(types.SimpleNamespace(task=Layer(), step=6))
    resumed.on_train_begin()
    validate(resumed, 8, 0.6)
    assert best.read_best(keeper.path)["step"] == 5
    # A step that is done again is no rival to itself.
    resumed.model.step = 3
    resumed.on_train_begin()
    validate(resumed, 4, 0.6)
    assert best.read_best(keeper.path)["step"] == 4


def test_the_same_weights_are_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        layer = Layer()
        layer.kernel.assign([1, 2])
        best.write_best(tmp_path / name, layer, 3, {"accuracy": 0.5})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    [value] = named_variables(layer).values()
    np.testing.assert_array_equal(value, [1, 2])


@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "best.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged or not the best weights"):
        best.read_best(path)
    with pytest.raises(UserError, match="damaged or not the best weights"):
        best.read_best(tmp_path / "missing")


def test_weights_that_cannot_be_written(keeper, monkeypatch):
    validate(keeper, 1, 0.5)
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(best.files, "write_file", Mock(side_effect=full))
    with pytest.raises(SaveError, match="best weights .* needs .* bytes, has"):
        validate(keeper, 2, 0.7)
    monkeypatch.undo()
    assert best.read_best(keeper.path)["step"] == 1
    shutil.rmtree(keeper.path.parent)
    with pytest.raises(SaveError, match="the run folder .* has gone"):
        validate(keeper, 3, 0.8)
    assert not keeper.path.parent.exists()


def test_best_weights_that_wait_to_be_written_count(keeper):
    """A `fit` that follows compares with them, not with the file."""
    jobs = []
    keeper.checkpoints = types.SimpleNamespace(write_first=jobs.append)
    validate(keeper, 1, 0.7)
    keeper.on_train_begin()
    validate(keeper, 2, 0.6)
    keeper.model.task.kernel.assign([9, 9])
    assert len(jobs) == 1 and not keeper.path.exists()
    jobs[0]()
    assert best.read_best(keeper.path)["step"] == 1
    [kernel] = read_tensors(keeper.path).values()
    assert kernel.tolist() == [1, 1]
    # Back before it: it is no rival to itself.
    keeper.model.step = 0
    keeper.on_train_begin()
    validate(keeper, 1, 0.5)
    assert len(jobs) == 2
