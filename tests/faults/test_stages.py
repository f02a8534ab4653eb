"""kill -9 of a run with stages: at their border, before and behind it."""

import json
import random
import signal
import time

import pytest

from trainers import records

BORDER = 30


@pytest.fixture(scope="module")
def stages(faults, tmp_path_factory):
    """Settings of a run whose rows are short at first."""
    folder = tmp_path_factory.mktemp("short")
    text = faults.data.parent
    records.main(
        f"--input {text}/text.txt --vocab {text}/vocab.txt --output "
        f"{folder}/records --max_length 24 --held_out 0.1 "
        "--processes 1".split()
    )
    short = {"records": str(folder / "records"), "batch_size": 16}
    parts = [{"share": 0.5, "masking_rate": 0.3, **short}, {"share": 0.5}]
    return {"optimization.stages": json.dumps(parts)}


@pytest.fixture(scope="module")
def wanted(faults, stages, tmp_path_factory):
    """The run that nothing happens to."""
    run_dir = tmp_path_factory.mktemp("stages") / "wanted"
    faults.pretrain(run_dir, stages).done()
    return run_dir


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(BORDER - 1, marks=pytest.mark.faults),
        BORDER,
        pytest.param(BORDER + 1, marks=pytest.mark.faults),
        pytest.param(BORDER + 9, marks=pytest.mark.faults),
    ],
)
def test_f57_killed_at_the_border_of_two_stages(
    faults, stages, wanted, tmp_path, step
):
    rng = random.Random(step)
    run_dir = tmp_path / "run"
    job = faults.pretrain(run_dir, stages, pause=[0.02])
    job.until_step(step)
    time.sleep(rng.random() * 0.04)
    job.signal(signal.SIGKILL)
    assert job.wait() == -signal.SIGKILL
    faults.pretrain(run_dir, stages).done()
    faults.assert_same(run_dir, wanted)


@pytest.mark.faults
def test_f57_both_of_two_workers(faults, stages, two_workers, tmp_path):
    wanted, run_dir = tmp_path / "wanted", tmp_path / "run"
    two_workers(faults.workers(wanted, 2, stages))
    jobs = faults.workers(run_dir, 2, stages, pause=[0.02])
    jobs[0].until_step(BORDER)
    for job in jobs:
        job.signal(signal.SIGKILL)
    for job in jobs:
        job.wait()
    two_workers(faults.workers(run_dir, 2, stages))
    faults.assert_same(run_dir, wanted)
