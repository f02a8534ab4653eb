"""What a user's callback is told, in runs that are not left alone."""

import functools
import json
import shutil

import keras
import numpy as np
import pytest

from trainers import pretrain
from trainers.run import api


class Counting(keras.callbacks.Callback):
    """Notes what it is told; may spoil the weights once, at a step."""

    def __init__(self, spoilt_at=None):
        super().__init__()
        self.told, self.spoilt_at = [], spoilt_at

    def on_train_begin(self, logs=None):
        self.told.append("begin")

    def on_epoch_begin(self, epoch, logs=None):
        self.told.append(f"epoch {epoch}")

    def on_epoch_end(self, epoch, logs=None):
        self.told.append(f"end {epoch}")

    def on_train_end(self, logs=None):
        self.told.append("end")

    def on_train_batch_end(self, batch, logs=None):
        assert self.params == {"verbose": 0, "epochs": 2, "steps": 2}
        if self.model.step == self.spoilt_at:
            self.spoilt_at = None
            variable = self.model.task.trainable_variables[0]
            variable.assign(np.full(variable.shape, np.nan))


@pytest.fixture(scope="module")
def whole(small_corpus, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    assert told_of(small_corpus, run_dir) == [
        *("begin", "epoch 0", "end 0", "epoch 1", "end 1", "end"),
    ]
    return run_dir


def told_of(corpus, run_dir, spoilt_at=None, **changes):
    """What a callback is told in a run of 4 steps and 2 evaluations."""
    settings = {
        "model.preset": "tiny",
        "model.hidden_size": 16,
        "model.intermediate_size": 32,
        "model.num_hidden_layers": 1,
        "model.max_position_embeddings": 16,
        "data.records": corpus / "records",
        "optimization.batch_size": 4,
        "optimization.steps": 4,
        "runtime.run_dir": run_dir,
        "runtime.evaluate_every": 2,
        "runtime.checkpoint_every": 2,
        "runtime.precision": "float32",
    }
    settings |= {f"runtime.{name}": value for name, value in changes.items()}
    callback = Counting(spoilt_at)
    train = api.train
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            api,
            "train",
            lambda *a, **k: train(*a, **{**k, "callbacks": [callback]}),
        )
        pretrain.main(
            [t for k, v in settings.items() for t in (f"--{k}", str(v))]
        )
    return callback.told


def without_evaluation(whole, run_dir, step):
    """A run that ended at a step before its evaluation."""
    shutil.copytree(whole, run_dir)
    for path in (run_dir / "checkpoints").glob("step-*"):
        if int(path.name[-8:]) > step:
            shutil.rmtree(path)
    path = run_dir / "checkpoints" / f"step-{step:08d}" / "checkpoint.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, "validation": None}))
    return run_dir


@pytest.mark.long
def test_a_resumed_run_begins_once(small_corpus, whole, tmp_path):
    told = functools.partial(told_of, small_corpus)
    run_dir = without_evaluation(whole, tmp_path / "middle", 2)
    # The evaluation that was missed belongs to the epoch before.
    assert told(run_dir) == [
        *("begin", "epoch 0", "end 0", "epoch 1", "end 1", "end"),
    ]
    run_dir = without_evaluation(whole, tmp_path / "end", 4)
    assert told(run_dir) == ["begin", "epoch 1", "end 1", "end"]


@pytest.mark.long
def test_a_run_that_is_rolled_back_begins_with_each_fit(small_corpus, tmp_path):
    told = told_of(small_corpus, tmp_path / "run", 3, on_nan="rollback")
    assert told == [
        *("begin", "epoch 0", "end 0", "epoch 1", "end 1", "end"),
        *("begin", "epoch 1", "end 1", "end"),
    ]
