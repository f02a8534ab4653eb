"""What a signal does, and when: only what all workers have agreed upon."""

import os
import signal
import types

import pytest
import tensorflow as tf

from trainers.distributed.strategies import Distribution
from trainers.files.exit_status import Stopped
from trainers.run import stopping
from trainers.run.stopping import CANNOT_SAVE, REASONS, StopOnSignal

TERM, INT = signal.SIGTERM, signal.SIGINT


@pytest.fixture
def one():
    with StopOnSignal(Distribution(None, "one_device")) as stop:
        stop.set_model(types.SimpleNamespace(skip_evaluation=False))
        yield stop


class Others:
    """The reduction with another worker, which was told `reason`.

    `meanwhile` is called while this worker waits for it.
    """

    reason = None
    meanwhile = staticmethod(lambda: None)

    def __call__(self, told):
        self.meanwhile()
        others = [float(self.reason == reason) for reason in REASONS]
        return tf.cast(told, tf.float32) + tf.constant(others)


@pytest.fixture
def others():
    return Others()


@pytest.fixture
def two(monkeypatch, others):
    monkeypatch.setattr(stopping, "_make_agreement", lambda _: others)
    distribution = Distribution(None, "multi_worker", 1, 2)
    with StopOnSignal(distribution) as stop:
        stop.set_model(
            types.SimpleNamespace(skip_evaluation=False, stop_training=False)
        )
        yield stop


def tell(number):
    os.kill(os.getpid(), number)


def test_one_process_notes_a_signal_and_cuts_an_evaluation_short(one):
    tell(TERM)
    tell(INT)
    assert one.signal is None and one.model.skip_evaluation
    # The first one counts.
    assert one.agree() == one.signal == TERM


def test_of_several_workers_nothing_happens_before_they_agree(two, others):
    tell(TERM)
    assert two.signal is None and not two.model.skip_evaluation
    two.on_train_batch_end(0)
    assert two.signal == TERM
    assert two.model.stop_training and two.model.skip_evaluation


@pytest.mark.parametrize("number", [TERM, INT])
def test_a_signal_while_they_ask_is_acted_upon_the_next_time(
    two, others, number
):
    others.meanwhile = lambda: tell(number)
    two.on_train_batch_end(0)
    # The others have not heard of it.
    assert two.signal is None and not two.model.stop_training
    assert two.agree() == number


def test_what_another_worker_was_told_counts_as_ones_own(two, others):
    others.reason = INT
    assert two.agree() == INT
    # A later one changes nothing, on any of them.
    others.reason = TERM
    tell(TERM)
    assert two.agree() == INT


def test_a_checkpoint_that_fails_comes_before_any_signal(two, others):
    tell(TERM)
    assert two.agree() == TERM
    others.reason = CANNOT_SAVE
    assert two.agree() == CANNOT_SAVE
    others.reason = None
    assert two.agree() == CANNOT_SAVE


def test_ones_own_failure_is_told_in_spite_of_a_signal(two, others):
    asked = []
    others.meanwhile = lambda: asked.append(two._cannot_save)
    tell(TERM)
    two.cannot_save()
    assert two.agree() == CANNOT_SAVE and asked == [True]


def test_an_evaluation_of_several_workers_ends_where_they_ask(two, others):
    tell(TERM)
    for batch in range(stopping.EVALUATION_BATCHES - 1):
        two.on_test_batch_end(batch)
    assert not two.model.skip_evaluation
    two.on_test_batch_end(stopping.EVALUATION_BATCHES - 1)
    assert two.model.skip_evaluation and two.signal == TERM


def test_a_signal_to_a_run_that_is_over_keeps_the_next_one_from_beginning():
    for stop in (lambda stop: stop.agree(), lambda stop: None):
        with StopOnSignal(Distribution(None, "one_device")) as run:
            tell(INT)
            stop(run)
        with pytest.raises(Stopped) as end:
            stopping.end_if_told()
        assert end.value.status == 130
    with StopOnSignal(Distribution(None, "one_device")):
        pass
    stopping.end_if_told()


def test_handlers_are_given_back():
    before = [signal.getsignal(number) for number in (INT, TERM)]
    with StopOnSignal(Distribution(None, "one_device")):
        assert signal.getsignal(TERM) != before[1]
    assert [signal.getsignal(number) for number in (INT, TERM)] == before
