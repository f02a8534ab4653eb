"""Full disks, folders that cannot be written or have gone, limits."""

import re
import shutil
import signal

import pytest

CANNOT_MOUNT = 99


def on_small_disk(faults, tmp_path, changes, *arguments):
    """A run on a small disk; returns (status, what it said, its files)."""
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    job = faults.pretrain(
        disk / "run",
        changes,
        small_disk=[str(disk), 8, str(kept), *arguments],
    )
    status = job.wait()
    if status == CANNOT_MOUNT:
        pytest.skip("mounting a disk of its own needs CAP_SYS_ADMIN")
    return status, job.said, kept / "run"


def test_f22_a_full_disk_stops_the_run(faults, tmp_path, reference):
    status, said, run_dir = on_small_disk(faults, tmp_path, {}, 5)
    assert status == 4, said
    assert "could not be written: needs " in said and ", has " in said
    assert "The checkpoints before it are intact" in said
    names = faults.checkpoints(run_dir)
    assert names and all(name.startswith("step-") for name in names)
    # With room again the same command goes on.
    (run_dir.parent / "ballast").unlink()
    said = faults.pretrain(run_dir).done()
    assert f"Resuming at step {int(names[-1][5:])} of 60" in said
    faults.assert_same(run_dir, reference)


@pytest.mark.faults
def test_f22_a_full_disk_and_training_that_goes_on(faults, tmp_path, reference):
    change = {"runtime.on_save_error": "continue"}
    status, said, run_dir = on_small_disk(faults, tmp_path, change, 7, 35)
    assert status == 0, said
    assert "Training goes on (runtime.on_save_error: continue)" in said
    failed = [e["step"] for e in faults.events(run_dir, "save_failed")]
    assert failed and max(failed) <= 41
    faults.assert_same(run_dir, reference)


@pytest.mark.faults
def test_f22_a_file_that_may_not_grow(faults, tmp_path):
    """`ulimit -f`: the write itself fails, not the look at the free space."""
    run_dir = tmp_path / "run"
    said = faults.pretrain(run_dir, limit=["RLIMIT_FSIZE", 100_000]).done(4)
    assert re.search(r"stopped at step 1\d of 60: the checkpoint", said)
    assert "needs " in said and ", has " in said
    assert faults.checkpoints(run_dir) == []


@pytest.mark.faults
def test_f23_logs_that_cannot_grow_stop_nothing(faults, tmp_path, reference):
    # Too little for the events of TensorBoard, enough for a checkpoint.
    run_dir = tmp_path / "run"
    faults.pretrain(run_dir, die_at=["rename", "step-00000010", "after"]).wait()
    shutil.rmtree(run_dir / "tensorboard")
    (run_dir / "tensorboard").write_text("no folder")
    said = faults.pretrain(run_dir).done()
    assert "the log will have gaps" in said
    faults.assert_same(run_dir, reference)


@pytest.mark.faults
def test_f24_a_run_folder_that_cannot_be_written(faults, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    job = faults.pretrain(disk / "run", read_only=[str(disk)])
    if job.wait() == CANNOT_MOUNT:
        pytest.skip("mounting needs CAP_SYS_ADMIN")
    assert "error: cannot write the run folder" in job.done(2)
    assert "step 1/60" not in job.said


@pytest.mark.faults
def test_f24_a_run_folder_that_goes(faults, tmp_path):
    run_dir = tmp_path / "run"
    job = faults.pretrain(run_dir, pause=[0.05])
    job.until_step(3)
    run_dir.rename(tmp_path / "elsewhere")
    said = job.done(4)
    assert f"the run folder {run_dir} has gone" in said
    assert not run_dir.exists()


@pytest.mark.faults
def test_f25_too_little_memory(faults, tmp_path):
    change = {"optimization.batch_size": 128, "model.intermediate_size": 4096}
    job = faults.pretrain(
        tmp_path / "run", change, limit_memory_in_training=[100]
    )
    said = job.done(2)
    assert "optimization.accumulation_steps" in said
    assert "Traceback" not in said


@pytest.mark.faults
def test_f25_few_open_files_are_enough(faults, tmp_path, reference):
    run_dir = tmp_path / "run"
    faults.pretrain(run_dir, limit=["RLIMIT_NOFILE", 64]).done()
    faults.assert_same(run_dir, reference)


@pytest.mark.faults
def test_f25_too_few_open_files(faults, tmp_path):
    job = faults.pretrain(tmp_path / "run", limit=["RLIMIT_NOFILE", 10])
    # Which file is the first that cannot be opened is not ours to say.
    assert job.wait() in (2, 4) and "ulimit -n 4096" in job.said, job.said


@pytest.mark.parametrize("kind", ["full", "head", "closed"])
def test_f51_nobody_reads_what_is_printed(kind, faults, tmp_path, reference):
    run_dir = tmp_path / "run"
    said = faults.pretrain(run_dir, output=[kind]).done()
    assert "step 1/60" not in said and "Traceback" not in said
    (event,) = faults.events(run_dir, "output_lost")
    assert event["step"] == 0
    faults.assert_same(run_dir, reference)


def test_f26_two_trainers_on_one_folder(faults, tmp_path, reference):
    run_dir = tmp_path / "run"
    first = faults.pretrain(run_dir, pause=[0.05])
    first.until_step(12)
    second = faults.pretrain(run_dir)
    said = second.done(2)
    assert f"another trainer (process {first.process.pid} on " in said
    first.signal(signal.SIGKILL)
    first.wait()
    said = faults.pretrain(run_dir).done()
    assert f"taking over {run_dir} from process {first.process.pid}" in said
    assert not (run_dir / "lock.json").exists()
    faults.assert_same(run_dir, reference)
