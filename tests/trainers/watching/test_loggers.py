"""Loggers of services, with stand-ins for the services."""

import sys
import types

import pytest

from tfbert.errors import UserError
from trainers.watching import loggers


class Model:
    """As much of a TrainingModel as a callback looks at."""

    step = 0
    distribute_strategy = types.SimpleNamespace(cluster_resolver=None)


class Service(types.ModuleType):
    """Either package: notes what it is told."""

    def __init__(self, told):
        super().__init__("stand-in")
        self.told, self.active = told, None

    def init(self, **about):
        self.told.append(("init", about["name"]))
        return self

    def log(self, values, step):
        self.told.append((step, values))

    log_metrics = log

    def finish(self):
        self.told.append("end")

    def active_run(self):
        return self.active

    def start_run(self, run_name):
        self.told.append(("init", run_name))

    end_run = finish


LOGGERS = [loggers.WandbLogger, loggers.MlflowLogger]


def train(callback, model, steps=7):
    """As `fit` of seven steps with an evaluation tells of it."""
    callback.set_model(model)
    callback.on_train_begin()
    for batch in range(steps):
        model.step += 1
        callback.on_train_batch_end(batch, {"loss": 1.0 * model.step})
    callback.on_epoch_end(0, {"loss": 4.0, "val_loss": 2.0, "val_f1": 0.5})
    callback.on_train_end()


@pytest.mark.parametrize("logger", LOGGERS)
def test_values_are_sent_by_step(logger, monkeypatch):
    told = []
    monkeypatch.setitem(sys.modules, logger.package, Service(told))
    train(logger(every=3, name="mine"), Model())
    assert told == [
        ("init", "mine"),
        (3, {"loss": 3.0}),
        (6, {"loss": 6.0}),
        (7, {"val_loss": 2.0, "val_f1": 0.5}),
        "end",
    ]


@pytest.mark.parametrize("logger", LOGGERS)
def test_the_chief_alone_sends(logger, monkeypatch):
    told, model = [], Model()
    monkeypatch.setitem(sys.modules, logger.package, Service(told))
    resolver = types.SimpleNamespace(task_id=1)
    model.distribute_strategy = types.SimpleNamespace(cluster_resolver=resolver)
    train(logger(every=1), model)
    assert told == []


def test_a_run_of_the_users_own_goes_on(monkeypatch):
    told = []
    service = Service(told)
    service.active = "a run"
    monkeypatch.setitem(sys.modules, "mlflow", service)
    train(loggers.MlflowLogger(every=7), Model())
    assert [step for step, _ in told] == [7, 7]


@pytest.mark.parametrize("logger", LOGGERS)
def test_what_is_missing_is_told_with_its_cure(logger, monkeypatch):
    monkeypatch.setitem(sys.modules, logger.package, None)
    with pytest.raises(UserError, match=rf"tfbert\[{logger.package}\]"):
        logger()
    monkeypatch.setitem(sys.modules, logger.package, Service([]))
    with pytest.raises(UserError, match="every to be a number above 0"):
        logger(every=0)


def test_a_service_must_be_said():
    class Nothing(loggers.ServiceLogger):
        package = "sys"

    for call in (
        lambda one: one.begin(),
        lambda one: one.send({}, 1),
        lambda one: one.end(),
    ):
        with pytest.raises(NotImplementedError):
            call(Nothing())
