"""Signals to some of several workers, at any moment: F50."""

import signal

import pytest

pytestmark = pytest.mark.faults
TERM, INT = signal.SIGTERM, signal.SIGINT
QUICK = {
    "model.num_hidden_layers": 1,
    "optimization.steps": 24,
    "runtime.evaluate_every": 12,
    "runtime.checkpoint_every": 6,
    "runtime.start_timeout": 120,
}


@pytest.fixture(scope="module")
def wanted(faults, tmp_path_factory):
    """Two workers that nothing happens to."""
    run_dir = tmp_path_factory.mktemp("faults-runs") / "two"
    for job in faults.workers(run_dir, 2, QUICK):
        job.done()
    return run_dir


# Of each moment: what happens, to whom, the step that is saved.
MOMENTS = {
    "agreement, worker 1": ({"signal_in_agreement": [TERM, 8]}, [1], None),
    "agreement, both": ({"signal_in_agreement": [TERM, 8]}, [0, 1], None),
    "step, chief": ({"signal_self": [INT, 8]}, [0], 8),
    "first evaluation, worker 1": (
        {"signal_in_evaluation": [TERM, 0]},
        [1],
        0,
    ),
    "first evaluation, both": ({"signal_in_evaluation": [TERM, 0]}, [0, 1], 0),
    "evaluation, chief": ({"signal_in_evaluation": [TERM, 12]}, [0], 12),
    "save, chief": ({"signal_in_save": [TERM, "step-00000006"]}, [0], None),
    "save, worker 1": ({"signal_in_save": [INT, "step-00000006"]}, [1], None),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_f50_all_save_the_same_step_and_end(
    faults, tmp_path, wanted, two_workers, moment
):
    fault, who, step = MOMENTS[moment]
    run_dir = tmp_path / "run"
    starters = faults.worker_starters(run_dir, 2, QUICK)
    jobs = [
        start(**(fault if index in who else {}))
        for index, start in enumerate(starters)
    ]
    (number, *_), *_ = fault.values()
    said = two_workers(jobs, 128 + number)
    places = [text.split("Stopped at step ")[1].split()[0] for text in said]
    assert places[0] == places[1]
    if step is None:
        assert 6 <= int(places[0]) <= 8
    else:
        assert int(places[0]) == step
    # Only the chief has written anything, and only it says so.
    assert "; saved " in said[0]
    assert "; worker 0 saved " in said[1]
    name = f"step-{int(places[0]):08d}"
    assert faults.checkpoints(run_dir)[-1] == name
    said = two_workers(faults.workers(run_dir, 2, QUICK))
    assert f"Resuming at step {places[0]} of 24" in said[0]
    faults.assert_same(run_dir, wanted, 24)


@pytest.mark.parametrize("number", [TERM, INT])
@pytest.mark.parametrize("who", [[0], [1], [0, 1]], ids=str)
def test_f50_before_there_is_anything_to_save(faults, tmp_path, who, number):
    run_dir = tmp_path / "run"
    starters = faults.worker_starters(run_dir, 2, QUICK)
    jobs = [
        start(**({"signal_at_start": [number]} if index in who else {}))
        for index, start in enumerate(starters)
    ]
    for index, job in enumerate(jobs):
        said = job.done(128 + number)
        assert "Traceback" not in said
        if index not in who:
            assert f"worker {who[0]} (localhost:" in said
            assert "was told to stop before the first step" in said
    assert not faults.rows(run_dir)
