"""What the losses do not read does not train: no step, decay or moments."""

import keras
import numpy as np
import pytest
from step_cases import (
    CONFIG,
    batches,
    make_data,
    make_strategy,
    training_model,
    weights_of,
)

from tfbert.config import BertConfig
from tfbert.optimizers import OPTIMIZERS, AdamW
from tfbert.tasks.pretraining import PretrainingTask
from trainers.checkpoints.checkpoints import Checkpoints
from trainers.finetuning.freezing import freeze

KERAS = {
    "keras adamw": lambda rate, **_: keras.optimizers.AdamW(rate),
    "keras sgd": lambda rate, **_: keras.optimizers.SGD(
        rate, momentum=0.9, weight_decay=0.1
    ),
}

LONG = pytest.mark.long


class WithoutSignature(PretrainingTask):
    """Nothing can be known of its batches before the first."""

    def input_signature(self, batch_size, **lengths):
        raise NotImplementedError


SMALL = BertConfig.from_dict({**CONFIG.to_dict(), "num_hidden_layers": 1})


def make(
    optimizer, task_class=PretrainingTask, replicas=1, frozen=None, **options
):
    """The optimizer is made in the strategy's scope."""
    with make_strategy(replicas).scope():
        task = task_class(SMALL, seed=3)
        model = training_model(freeze(task, frozen), **options)
        model.compile(optimizer())
    return model


def adamw():
    return AdamW(1e-2, weight_decay=0.5)


def by_path(task):
    return {v.path: keras.ops.convert_to_numpy(v) for v in task.weights}


def fit(model, steps=3):
    model.fit(
        batches(model, make_data()),
        steps_per_epoch=steps,
        verbose=0,
        shuffle=False,
    )


@pytest.mark.parametrize(
    "name, task_class",
    [(name, PretrainingTask) for name in (*OPTIMIZERS, "keras sgd")]
    + [(name, WithoutSignature) for name in ("lamb", "keras adamw")],
)
def test_the_pooler_stays_as_it_is(name, task_class):
    made = {**OPTIMIZERS, **KERAS}[name]
    model = make(lambda: made(1e-2, weight_decay=0.1), task_class)
    before = by_path(model.task)
    fit(model)
    for path, value in by_path(model.task).items():
        assert np.array_equal(value, before[path]) == ("pooler" in path), path
    moments = [
        variable
        for variable in model.optimizer.variables
        if "pooler" in variable.path
    ]
    if task_class is PretrainingTask:
        assert not moments
    assert not any(np.any(keras.ops.convert_to_numpy(v)) for v in moments)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"replicas": 2, "accumulation_steps": 2}, marks=LONG),
        pytest.param({"xla": True, "log_gradient_norms": True}, marks=LONG),
        {"average_decay": 0.9, "layer_decay": 0.8},
    ],
    ids=str,
)
@pytest.mark.parametrize("frozen", [None, pytest.param(1, marks=LONG)])
def test_with_all_that_a_step_can_do(options, frozen):
    model = make(adamw, frozen=frozen, **options)
    before = by_path(model.task)
    fit(model)
    with model.averaged():
        averages = by_path(model.task)
    still = ("pooler",) + (("embeddings", "block_0") if frozen else ())
    for path, value in by_path(model.task).items():
        stays = any(part in path for part in still)
        assert np.array_equal(value, before[path]) == stays, path
        assert np.array_equal(averages[path], before[path]) == stays, path
        held = [v for v in model.optimizer.variables if _belongs(v, path)]
        assert len(held) == (0 if stays else 2), path


def _belongs(variable, path):
    return f"/{path.replace('/', '_')}_" in variable.path


def test_a_checkpoint_with_moments_of_all_is_restored(tmp_path, monkeypatch):
    """As they were written when everything had moments."""
    options = {"average_decay": 0.9}
    monkeypatch.setattr(
        "trainers.step.training_model.learnt_variables",
        lambda task, strategy: list(task.trainable_variables),
    )
    old = make(adamw, **options)
    assert any("pooler" in v.path for v in old.optimizer.variables)
    fit(old)
    Checkpoints(tmp_path).save(old, 3)
    monkeypatch.undo()
    new = make(adamw, **options)
    assert Checkpoints(tmp_path).restore(new).step == 3
    np.testing.assert_array_equal(weights_of(new), weights_of(old))
    new.step = 3
    for model in (old, new):
        fit(model, 2)
    np.testing.assert_array_equal(weights_of(new), weights_of(old))


def test_what_is_made_trainable_later_is_not_left_out_silently():
    model = make(adamw, frozen="embeddings")
    model.task.encoder.embeddings.trainable = True
    with pytest.raises(ValueError, match="embeddings.*call compile again"):
        fit(model, 1)
    model.compile(adamw())
    fit(model, 1)


def test_what_is_frozen_later_stays():
    model = make(adamw)
    model.task.encoder.embeddings.trainable = False
    before = by_path(model.task)
    fit(model, 2)
    for path, value in by_path(model.task).items():
        same = "embeddings/" in path or "pooler" in path
        assert np.array_equal(value, before[path]) == same, path
