"""Points that come again are not there twice."""

import types

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)

from trainers.watching.event_files import drop_events_after
from trainers.watching.metrics_log import TensorBoardLog


def write(folder, steps):
    with tf.summary.create_file_writer(str(folder)).as_default():
        for step in steps:
            tf.summary.scalar("loss", float(step), step=step)


def steps_of(folder):
    found = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    found.Reload()
    # It reads files by the text of their names, which within a second is not
    # their order.
    return sorted(event.step for event in found.Tensors("loss"))


@pytest.mark.parametrize("step,dropped", [(70, 0), (60, 0), (35, 3), (5, 6)])
def test_later_points_go(step, dropped, tmp_path):
    for steps in ([10, 20], [30, 40], [50, 60]):
        write(tmp_path, steps)
    assert drop_events_after(tmp_path, step) == dropped
    kept = [s for s in range(10, 70, 10) if s <= step]
    write(tmp_path, [99])
    assert steps_of(tmp_path) == [*kept, 99]
    assert list(tmp_path.glob(".tmp-*")) == []


def test_a_file_that_was_cut_off_keeps_what_is_whole(tmp_path):
    write(tmp_path, [10, 20, 30, 40])
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    assert drop_events_after(tmp_path, 20) == 1
    assert steps_of(tmp_path) == [10, 20]
    assert drop_events_after(tmp_path / "none", 3) == 0


def test_a_run_that_goes_on_from_an_earlier_step(tmp_path, capsys):
    for first, last in ((0, 6), (3, 8)):
        log = TensorBoardLog(tmp_path, every=1, first_step=first)
        log.set_model(types.SimpleNamespace())
        log.on_train_begin()
        for step in range(last - first):
            log.on_train_batch_end(step, {"loss": 1.0})
        log.on_train_end()
    folder = tmp_path / "tensorboard" / "train"
    assert steps_of(folder) == list(range(1, 9))
    assert capsys.readouterr().err == ""
