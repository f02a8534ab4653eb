"""What a callback of a user's that sleeps looks like to the other workers."""

import functools
import types

import keras
import pytest

from trainers.distributed import worker_status as phases
from trainers.distributed.failure_detector import Member, judge
from trainers.distributed.step_probes import surround
from trainers.distributed.worker_status import Pulse

STALL, SLOW = 30.0, 600.0
PLACES = [
    *("on_train_begin", "on_epoch_begin", "on_train_batch_begin"),
    *("on_train_batch_end", "on_test_begin", "on_test_batch_end"),
    *("on_test_end", "on_epoch_end", "on_train_end"),
]


class Sleeping(keras.callbacks.Callback):
    """Sleeps where it is told to, on a clock that we set."""

    now, seconds, place, epoch = 0.0, 0.0, "", 0
    facts = None

    def __init__(self):
        super().__init__()
        for place in PLACES:
            setattr(self, place, functools.partial(self.sleep, place))

    def sleep(self, place, *_, **__):
        # Once, so that not all steps seem to take that long.
        epoch = int(place != "on_train_begin")
        if (place, epoch) == (self.place, self.epoch) and not self.facts:
            self.now += self.seconds
            self.facts = self.pulse.facts()


@pytest.fixture
def sleeping():
    callback = Sleeping()
    callback.pulse = Pulse(STALL, SLOW, clock=lambda: callback.now)
    return callback


def fit(callback):
    """Two epochs of two steps and an evaluation, as Keras tells of them."""
    model = types.SimpleNamespace(step=0)
    listed = keras.callbacks.CallbackList(
        surround([callback], {}, callback.pulse)
    )
    for one in listed.callbacks:
        one.set_model(model)
    listed.on_train_begin()
    for epoch in callback.epoch, 1:
        callback.epoch = epoch
        listed.on_epoch_begin(epoch)
        for batch in range(2):
            listed.on_train_batch_begin(batch)
            assert callback.pulse.facts()["phase"] in (
                phases.FIRST_STEP,
                phases.READING,
            )
            model.step += 1
            listed.on_train_batch_end(batch)
        listed.on_test_begin()
        listed.on_test_batch_end(0)
        listed.on_test_end()
        listed.on_epoch_end(epoch)
    listed.on_train_end()


@pytest.mark.parametrize("place", PLACES)
def test_a_callback_has_another_limit_than_a_step(sleeping, place):
    """Longer than a step may take, and nobody calls it stalled."""
    sleeping.place, sleeping.seconds = place, SLOW - 1
    fit(sleeping)
    members = [Member("worker 0"), Member("worker 1")]
    for name, value in sleeping.facts.items():
        setattr(members[1], name, value)
    members[0].phase, members[0].limit = phases.WAITING, STALL
    members[0].seconds = SLOW - 1
    assert judge(members, STALL) is None
    if members[1].phase == phases.CALLBACKS:
        members[1].seconds = SLOW + 1
        assert "raise runtime.start_timeout" in judge(members, STALL).text
