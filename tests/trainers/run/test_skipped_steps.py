"""What the guard says about steps; tests/faults has it in real runs."""

import types

import pytest

from trainers.files.events import Events, read_events
from trainers.run.skipped_steps import Diverged, Guard
from trainers.settings.sections import RuntimeSettings, SpikeSettings

GOOD = {"loss": 2.0, "gradient_norm": 1.0, "skipped": 0.0}
SKIPPED = {"loss": float("nan"), "gradient_norm": float("nan"), "skipped": 1.0}


def make(said=None, events=None, row_ids=None, **settings):
    said = [] if said is None else said
    runtime = RuntimeSettings(**settings)
    guard = Guard(runtime, said.append, events, row_ids=row_ids)
    guard.set_model(types.SimpleNamespace(step=0, stop_training=False))
    return guard


def train(guard, *steps):
    for logs in steps:
        guard.model.step += guard._runtime.steps_per_loop
        guard.on_train_batch_end(0, logs)
    guard.settle()


def test_skips_are_told_once_a_row_and_counted(tmp_path):
    said, events = [], Events(tmp_path)
    guard = make(said, events, lambda batch: [8 * batch, 9], max_skipped=3)
    train(guard, GOOD, SKIPPED, SKIPPED, GOOD, SKIPPED)
    assert len(said) == 2
    assert said[0].startswith("step 2 (batch 1, rows 8, 9): the gradient is")
    rows = read_events(tmp_path)
    assert [(r["event"], r["step"], r["batches"]) for r in rows] == [
        ("skipped", 2, [1]),
        ("skipped", 5, [4]),
    ]
    with pytest.raises(Diverged, match="step 7: .*3 steps in a row"):
        train(guard, SKIPPED, SKIPPED)


def test_a_state_goes_on(tmp_path):
    first, second = make(max_skipped=2), make(max_skipped=2)
    train(first, GOOD, SKIPPED)
    second.load(first.state())
    assert second.state() == first.state()
    with pytest.raises(Diverged):
        train(second, SKIPPED)


def test_stop_and_rollback():
    with pytest.raises(Diverged, match=r"runtime\.on_nan is stop"):
        train(make(on_nan="stop"), GOOD, SKIPPED)
    guard = make(on_nan="rollback")
    train(guard, GOOD, SKIPPED, SKIPPED)
    assert (guard.rollback.first, guard.rollback.last) == (2, 2)
    assert guard.model.stop_training and guard.model.skip_evaluation


@pytest.mark.parametrize("action", ["off", "warn", "stop", "rollback"])
def test_spikes(action):
    said = []
    guard = make(said, spike=SpikeSettings(action=action))
    train(guard, *[GOOD] * 40)
    spike = {**GOOD, "gradient_norm": 100.0}
    if action == "stop":
        with pytest.raises(Diverged, match="step 41: gradient norm 100 is"):
            train(guard, spike)
    else:
        train(guard, spike, spike)
    assert len(said) == (action != "off")
    assert bool(guard.rollback) == (action == "rollback")


def test_steps_of_one_call_are_named_together():
    said = []
    guard = make(said, steps_per_loop=4)
    train(guard, GOOD, {**SKIPPED, "skipped": 0.25})
    assert said[0].startswith("step 8 (batches 4 to 7): ")


@pytest.mark.parametrize(
    "calls, ends",
    [
        ([(4, 4, 4), (1, 0, 1)], True),
        ([(0, 3, 3), (2, 2, 2)], True),
        ([(0, 1, 5)], True),
        ([(0, 4, 4), (0, 4, 4), (0, 0, 2)], False),
    ],
)
def test_steps_in_a_row_are_counted_across_calls(calls, ends):
    """runtime.max_skipped is a number of steps, whatever a call runs."""
    guard = make([], steps_per_loop=7, max_skipped=5)
    guard.model.last_steps = 7

    def run():
        for runs in calls:
            guard.model.skip_runs = list(runs)
            if runs == (4, 4, 4):
                guard.model.last_steps = 4
            else:
                guard.model.last_steps = 7
            train(guard, {**SKIPPED, "skipped": runs[2] / 7})

    if ends:
        with pytest.raises(Diverged, match="steps in a row of runtime.max"):
            run()
    else:
        run()


def test_losses_of_another_stage_are_forgotten(tmp_path):
    def steps(loss):
        return [{**GOOD, "loss": loss + 0.01 * (n % 3)} for n in range(40)]

    guard = make(events=Events(tmp_path))
    train(guard, *steps(3.0))
    guard.forget()
    train(guard, *steps(4.5))
    assert not read_events(tmp_path)
    train(guard, {**GOOD, "loss": 9.0}, *steps(4.5))
    assert [event["event"] for event in read_events(tmp_path)] == ["spike"]
