import io
import json
import math
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import rich.console
import tensorflow as tf

from trainers.files.run_folder import parse_metrics
from trainers.watching.metrics_log import (
    MetricsLog,
    ProgressBar,
    TensorBoardLog,
)
from trainers.watching.progress import LIVE_SECONDS
from trainers.watching.watcher import Watcher


class Optimizer:
    def __init__(self, iterations):
        self.iterations = np.int64(iterations)


class Model:
    def __init__(self, iterations=0):
        self.optimizer = Optimizer(iterations)


def step_logs(loss=2.0, **more):
    return {
        "loss": loss,
        "masked_lm_loss": loss,
        "masked_lm_accuracy": 0.25,
        "learning_rate": 1e-4,
        "gradient_norm": 1.5,
        "loss_weight": 20.0,
        "tokens": 128.0,
        "skipped": 0.0,
        **more,
    }


def drive(callback, losses, restored=0, validation=None, stop=True):
    """Calls `callback` as one epoch of fit would."""
    callback.set_model(Model(restored))
    callback.set_params({"epochs": 1, "steps": len(losses)})
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    for batch, loss in enumerate(losses):
        callback.on_train_batch_end(batch, step_logs(loss))
    if validation is not None:
        callback.on_test_begin()
        callback.on_test_end(validation)
    logs = {f"val_{name}": value for name, value in (validation or {}).items()}
    callback.on_epoch_end(0, {"loss": losses[-1], **logs})
    if stop:
        callback.on_train_end()


def rows_of(folder):
    text = (folder / "metrics.jsonl").read_text()
    assert all(json.loads(line) for line in text.splitlines())
    return parse_metrics(text)


def test_every_must_be_positive():
    with pytest.raises(ValueError, match="every >= 1"):
        Watcher(every=0)


def test_metrics_rows_are_averages_at_multiples_of_every(tmp_path):
    log = MetricsLog(tmp_path / "run", every=2)
    drive(log, [4.0, 2.0, 1.0], validation={"loss": 1.5})
    rows = rows_of(tmp_path / "run")
    train, validation, short = rows
    assert (train["step"], train["split"], train["loss"]) == (2, "train", 3.0)
    assert train["tokens"] == 256 and train["steps"] == 2
    assert train["learning_rate"] == 1e-4
    assert (validation["split"], validation["step"]) == ("validation", 3)
    assert validation["loss"] == 1.5
    assert (short["step"], short["steps"], short["loss"]) == (3, 1, 1.0)
    assert all(row["time"] > 1e9 for row in rows)


def test_a_resumed_run_drops_the_rows_that_it_makes_again(tmp_path):
    drive(MetricsLog(tmp_path, every=2), [9.0] * 6, validation={"loss": 9.0})
    with open(tmp_path / "metrics.jsonl", "a") as stream:
        stream.write('{"step": 7, "split": "tr')  # killed while writing
    drive(MetricsLog(tmp_path, every=2), [1.0] * 4, restored=4)
    rows = rows_of(tmp_path)
    assert [(row["step"], row["loss"]) for row in rows] == [
        (2, 9.0),
        (4, 9.0),
        (6, 1.0),
        (8, 1.0),
    ]


def test_a_second_evaluation_of_step_zero_replaces_the_first(tmp_path):
    for loss in (9.0, 8.0):  # the first run died before any checkpoint
        log = MetricsLog(tmp_path, every=1)
        log.on_validation({"loss": tf.constant(loss)})
        drive(log, [5.0])
    found = [(r["step"], r["split"], r["loss"]) for r in rows_of(tmp_path)]
    assert found == [(0, "validation", 8.0), (1, "train", 5.0)]


def test_an_intact_log_is_not_rewritten(tmp_path):
    drive(MetricsLog(tmp_path, every=1), [1.0, 2.0])
    before = os.stat(tmp_path / "metrics.jsonl").st_ino
    drive(MetricsLog(tmp_path, every=1), [3.0], restored=2)
    assert os.stat(tmp_path / "metrics.jsonl").st_ino == before
    assert [row["step"] for row in rows_of(tmp_path)] == [1, 2, 3]


def test_nan_is_null_and_the_file_stays_json(tmp_path):
    drive(MetricsLog(tmp_path, every=1), [math.nan, math.inf, 1.0])
    assert [row["loss"] for row in rows_of(tmp_path)] == [None, None, 1.0]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_costs_one_warning_and_no_training(tmp_path, capsys):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    log = MetricsLog(tmp_path, every=1)
    log._drop_rows_after = lambda step: None  # reading /dev/full has no end
    drive(log, [1.0, 2.0, 3.0])
    printed = capsys.readouterr().err
    assert printed.count("warning: could not write") == 1
    assert "No space left" in printed and "Training goes on" in printed


def test_after_half_a_line_the_next_is_whole(tmp_path, capsys, monkeypatch):
    log = MetricsLog(tmp_path, every=1)
    drive(log, [1.0], stop=False)
    real_open = open

    class Half:
        def __init__(self, *args, **kwargs):
            self.stream = real_open(*args, **kwargs)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.stream.close()

        def write(self, data):
            return self.stream.write(data[: len(data) // 2])

    monkeypatch.setattr("builtins.open", Half)
    log.on_train_batch_end(1, step_logs(2.0))
    monkeypatch.undo()
    log.on_train_batch_end(2, step_logs(3.0))
    rows = parse_metrics((tmp_path / "metrics.jsonl").read_text())
    assert [row["loss"] for row in rows] == [1.0, 3.0]
    assert "only part of a line" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    drive(MetricsLog(tmp_path / "file" / "run", every=1), [1.0, 2.0])
    assert capsys.readouterr().err.count("warning:") == 1


def test_several_steps_per_call_and_first_step(tmp_path):
    log = MetricsLog(tmp_path, every=4, first_step=100)
    log.set_model(Model(7))
    log.on_train_begin()
    log.on_epoch_begin(0)
    for batch in (2, 5, 8):  # three steps a call
        log.on_train_batch_end(batch, step_logs())
    log.on_train_end()
    found = [(row["step"], row["steps"]) for row in rows_of(tmp_path)]
    assert found == [(106, 6), (109, 3)]


def scalars(folder):
    found = {}
    for path in sorted(folder.glob("events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                number = float(tf.make_ndarray(value.tensor))
                found.setdefault(value.tag, []).append((event.step, number))
    return found


def test_tensorboard_has_both_splits(tmp_path):
    log = TensorBoardLog(tmp_path, every=2)
    drive(log, [4.0, 2.0, math.nan], validation={"loss": 1.5})
    train = scalars(tmp_path / "tensorboard" / "train")
    assert train["loss"] == [(2, 3.0)]
    assert [step for step, _ in train["learning_rate"]] == [2, 3]
    assert "steps" not in train
    validation = scalars(tmp_path / "tensorboard" / "validation")
    assert validation == {"loss": [(3, 1.5)]}


def test_tensorboard_that_cannot_write_is_a_warning(tmp_path, capsys):
    (tmp_path / "tensorboard").write_text("")
    drive(TensorBoardLog(tmp_path, every=1), [1.0, 2.0])
    assert capsys.readouterr().err.count("warning: could not write") == 1


class Clock:
    """Each look takes `seconds`."""

    def __init__(self, seconds):
        self.now, self.seconds = 0.0, seconds

    def __call__(self):
        self.now += self.seconds
        return self.now


def console(terminal):
    return rich.console.Console(
        file=io.StringIO(),
        force_terminal=terminal,
        width=110,
        soft_wrap=True,
        highlight=False,
    )


class Machine:
    def of(self, row):
        return {
            "mfu": 0.5,
            "data_wait_share": 0.1,
            "host_memory_bytes": 1.5e9,
            "checkpoint_age_seconds": 125.0,
        }


def test_plain_lines_off_a_terminal():
    out = console(False)
    bar = ProgressBar(console=out, clock=Clock(4.0), vitals=Machine())
    drive(bar, [2.0] * 20, validation={"loss": 1.5, "masked_lm_accuracy": 0.3})
    lines = out.file.getvalue().splitlines()
    assert lines[0].startswith("step 1/20 (5%)  loss 2.0000  masked-LM acc")
    assert "learning rate 1.00e-04  gradient norm 1.5" in lines[0]
    assert "tokens/s" in lines[1] and " left" in lines[1]
    assert "MFU 50.0%  waiting for data 10.0%  memory 1.5 GB" in lines[1]
    assert "checkpoint 2 min 5 s old" in lines[1]
    assert any(
        line == "validation at step 20  loss 1.5000  masked-LM accuracy 30.0%"
        for line in lines
    )
    assert len(lines) < 15
    assert "\x1b" not in out.file.getvalue()


def test_lines_become_rarer_as_the_run_goes_on():
    out = console(False)
    bar = ProgressBar(console=out, clock=Clock(1.0))
    drive(bar, [2.0] * 3000)
    lines = out.file.getvalue().splitlines()
    assert 20 < len(lines) < 120


def test_the_bar_on_a_terminal_and_the_validation_line_that_stays():
    out = console(True)
    bar = ProgressBar(console=out, title="pretraining", clock=Clock(0.3))
    drive(bar, [2.0] * 6, validation={"loss": 1.5})
    text = out.file.getvalue()
    assert "pretraining" in text and "━" in text
    assert "validating" in text
    assert "validation at step 6  loss 1.5000" in text
    assert text.rstrip().endswith("\x1b[?25h")  # the cursor is back
    assert LIVE_SECONDS < 1
    bar.close()


def test_skipped_steps_and_nan_are_said():
    out = console(False)
    bar = ProgressBar(console=out, total_steps=4)
    bar.set_model(Model())
    bar.on_train_begin()
    bar.on_epoch_begin(0)
    bar.on_train_batch_end(0, step_logs(math.nan, skipped=1.0))
    bar.on_train_end()
    line = out.file.getvalue()
    assert "loss not finite" in line
    assert "1 step skipped (not finite)" in line


def test_without_a_total_there_is_no_time_left():
    out = console(False)
    bar = ProgressBar(console=out)
    bar.set_model(Model(5))
    bar.set_params({"epochs": 1, "steps": None})
    bar.on_train_begin()
    bar.on_epoch_begin(0)
    bar.on_train_batch_end(0, {"loss": 1.0, "my_metric": 0.123456})
    bar.on_train_batch_end(1, {"loss": 1.0})
    bar.on_train_end()
    assert "step 6  loss 1.0000  my metric 0.1235" in out.file.getvalue()
    assert "left" not in out.file.getvalue()


def test_all_of_them_in_a_real_fit(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    data = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    out = console(False)
    callbacks = [
        MetricsLog(tmp_path, every=2),
        TensorBoardLog(tmp_path, every=2),
        ProgressBar(console=out),
    ]
    model.fit(
        *data,
        batch_size=2,
        epochs=2,
        validation_data=data,
        callbacks=callbacks,
        verbose=0,
    )
    rows = rows_of(tmp_path)
    assert [(row["step"], row["split"]) for row in rows] == [
        (2, "train"),
        (4, "train"),
        (4, "validation"),
        (6, "train"),
        (8, "train"),
        (8, "validation"),
    ]
    assert "validation at step 8" in out.file.getvalue()
    assert scalars(tmp_path / "tensorboard" / "train")["loss"]
