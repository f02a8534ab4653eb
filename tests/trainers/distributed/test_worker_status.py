"""Phases, limits and own time of a worker, by a clock that we set."""

import pytest

from trainers.distributed import worker_status as phases
from trainers.distributed.worker_status import Pulse


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pulse(clock):
    return Pulse(stall_seconds=45.0, slow_seconds=600.0, clock=clock)


def one_step(pulse, clock, step, own, waiting):
    pulse.begin_step(first=step == 1)
    clock.now += own / 2
    pulse.within_step(phases.WAITING)
    clock.now += waiting
    pulse.within_step(phases.COMPUTING)
    clock.now += own / 2
    pulse.within_step(phases.WAITING)
    clock.now += waiting
    pulse.end_step(step)


def test_own_work_leaves_out_waiting(pulse, clock):
    for step in range(1, 8):
        one_step(pulse, clock, step, own=0.4, waiting=3.0)
        pulse.enter(phases.WAITING)
        clock.now += 1.0
        pulse.enter(phases.CALLBACKS)
    facts = pulse.facts()
    assert facts["step"] == 7
    assert facts["own"] == pytest.approx(0.4)
    assert facts["phase"] == phases.CALLBACKS


def test_limits(pulse, clock):
    assert pulse.facts()["limit"] is None  # starting
    pulse.begin_step(first=True)
    # Tracing and compiling, wherever in the first step they happen.
    pulse.within_step(phases.WAITING)
    pulse.within_step(phases.COMPUTING)
    assert pulse.facts()["limit"] == 600.0
    pulse.end_step(1)
    # Callbacks are the user's too, and may copy files.
    assert pulse.facts()["limit"] == 600.0
    pulse.begin_step(first=False)
    assert pulse.facts()["limit"] == 45.0
    # Ten times the median of long steps.
    for step in range(2, 5):
        one_step(pulse, clock, step, own=20.0, waiting=0.0)
    pulse.begin_step(first=False)
    assert pulse.facts()["limit"] == pytest.approx(200.0)
    pulse.enter(phases.SAVING)
    assert pulse.facts()["limit"] == 600.0


def test_marks_mean_nothing_outside_a_step(pulse):
    pulse.enter(phases.EVALUATING)
    pulse.within_step(phases.WAITING)
    assert pulse.facts()["phase"] == phases.EVALUATING


def test_a_stopped_process_is_forgiven(pulse, clock):
    pulse.begin_step(first=False)
    clock.now += 60.0
    pulse.forgive(59.0)
    assert pulse.facts()["seconds"] == pytest.approx(1.0)
