"""Who is lost, stalled or slow, from what workers say."""

import pytest

from trainers.distributed.failure_detector import (
    GRACE_SECONDS,
    LAST_SECONDS,
    Member,
    judge,
    stragglers,
)
from trainers.distributed.worker_status import (
    CALLBACKS,
    COMPUTING,
    ENDING,
    EVALUATING,
    SAVING,
    STARTING,
    WAITING,
)

STALL = 45.0


def members(*changes):
    return [
        Member(
            f"worker {i} (h{i}:1)",
            **{"step": 37, "phase": WAITING, "limit": STALL, **change},
        )
        for i, change in enumerate(changes)
    ]


def verdict(*changes):
    return judge(members(*changes), STALL)


def test_all_is_well():
    assert verdict({}, {"phase": COMPUTING, "seconds": 30.0}) is None
    # One saves for long, and the others wait for it.
    saving = {"phase": SAVING, "seconds": 90.0, "limit": 600.0}
    assert verdict(saving, {"seconds": 90.0}) is None


def test_a_process_that_ended_without_a_word_is_lost():
    assert verdict({}, {"gone": GRACE_SECONDS / 2}) is None
    found = verdict({}, {"gone": GRACE_SECONDS})
    assert "worker 1 (h1:1) was lost in step 38" in found.text
    assert found.status == 5 and not found.stalled
    found = verdict({}, {"gone": 9.0, "step": None})
    assert "lost before the first step" in found.text


def test_silence_is_a_stall():
    assert verdict({}, {"silent": STALL - 1}) is None
    found = verdict({}, {"silent": STALL})
    assert "worker 1 (h1:1) is stalled in step 38: no sign" in found.text
    assert found.status == 5 and found.stalled


def test_who_works_too_long_is_stalled_not_who_waits_for_it():
    found = verdict(
        {"seconds": 50.0}, {"phase": CALLBACKS, "seconds": 46.0}, {}
    )
    assert found.text.startswith(
        "worker 1 (h1:1) is stalled in step 38: in callbacks for 46 s"
    )
    assert "worker 0 (h0:1): in step 38, waiting" in found.text
    assert found.text.endswith(
        ". Callbacks may take 45 s; for longer ones raise runtime.start_timeout"
    )
    assert found.stalled
    found = verdict({}, {"phase": COMPUTING, "seconds": 46.0})
    assert "allbacks" not in found.text
    # Where a limit of its own allows it, nobody is.
    free = {"phase": EVALUATING, "seconds": 999.0, "limit": None}
    assert verdict({}, free) is None


def test_all_wait_for_what_does_not_come():
    assert verdict({"seconds": 46.0}, {"seconds": 3.0}) is None
    found = verdict({"seconds": 46.0}, {"seconds": 47.0})
    assert "can they reach each other" in found.text and found.stalled
    # One that is done will not come; the limit says nothing of that.
    done = {"gone": GRACE_SECONDS, "status": 0}
    found = verdict({}, done)
    assert "worker 1 (h1:1) ended in step 38" in found.text
    assert found.status == 5 and found.stalled
    assert verdict({}, {"phase": COMPUTING}, done) is None


def test_a_good_bye_with_an_error():
    bye = {"status": 1, "error": "OSError: no"}
    found = verdict({}, {**bye, "gone": GRACE_SECONDS})
    assert found.text == (
        "worker 1 (h1:1) ended in step 38 with status 1: OSError: no"
    )
    assert found.status == 5
    assert verdict({}, {**bye, "status": 2, "gone": 9.0}).status == 2
    # All end for the same reason, and this one still writes.
    here = {"phase": CALLBACKS}
    assert verdict(here, {**bye, "gone": 9.0}) is None
    assert verdict(here, {**bye, "gone": LAST_SECONDS}) is not None


@pytest.mark.parametrize("phase", [CALLBACKS, SAVING, ENDING])
@pytest.mark.parametrize("status", [0, 130, 143])
def test_an_orderly_end_is_no_loss_while_another_finishes(phase, status):
    here = {"phase": phase}
    assert verdict(here, {"gone": 99.0, "status": status}) is None
    # The chief predicts a test set, and needs nobody for it.
    done = {"gone": 99.0, "status": 0}
    assert verdict({"phase": STARTING}, done) is None


@pytest.mark.parametrize("phase", [WAITING, COMPUTING, STARTING])
@pytest.mark.parametrize("status", [130, 143])
def test_who_is_told_to_stop_alone_ends_all_at_once(phase, status):
    told = {"gone": GRACE_SECONDS, "status": status, "step": None}
    found = verdict({"phase": phase}, {"phase": SAVING}, told)
    assert found.status == status and not found.stalled
    assert found.text == (
        "worker 2 (h2:1) was told to stop before the first step and has "
        f"ended (status {status}); so do all"
    )
    told["gone"] = GRACE_SECONDS / 2
    assert verdict({"phase": phase}, told) is None


def test_stragglers():
    fast, slow = {"own": 0.3}, {"own": 0.81}
    assert stragglers(members(fast, {"own": 0.4})) is None
    assert stragglers(members({}, slow)) is None
    line = stragglers(members(fast, slow, {"own": 0.32}))
    assert line == (
        "worker 1 (h1:1) is slow, and all wait for it at step 37; own work of "
        "a step: worker 0 (h0:1) 0.300 s, worker 1 (h1:1) 0.810 s, worker 2 "
        "(h2:1) 0.320 s"
    )
    # Short steps differ by chance.
    assert stragglers(members({"own": 0.01}, {"own": 0.04})) is None
