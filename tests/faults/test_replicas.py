"""Odd numbers of replicas, and sums over them that are none: F47."""

import pytest

# What 3, 5 and 7 replicas divide.
ODD = {
    "optimization.batch_size": 105,
    "optimization.steps": 6,
    "optimization.warmup_steps": 2,
    "runtime.evaluate_every": 3,
    "runtime.checkpoint_every": 6,
    "model.num_hidden_layers": 1,
}


@pytest.mark.faults
def test_f47_odd_numbers_of_replicas_make_the_updates_of_one(faults, tmp_path):
    changes = {**faults.no_dropout, **ODD}
    one = tmp_path / "one"
    faults.pretrain(one, changes).done()
    for replicas in (3, 5, 7):
        run_dir = tmp_path / str(replicas)
        faults.pretrain(
            run_dir, {**changes, "runtime.devices": replicas}
        ).done()
        faults.assert_close(run_dir, one)
        for found, wanted in zip(
            faults.rows(run_dir, "validation"),
            faults.rows(one, "validation"),
            strict=True,
        ):
            assert found == pytest.approx(wanted, rel=1e-5)


@pytest.mark.faults
def test_f47_a_wrong_sum_stops_the_run_before_step_1(faults, tmp_path):
    run_dir = tmp_path / "run"
    changes = {**ODD, "runtime.devices": 3}
    said = faults.pretrain(run_dir, changes, wrong_sums=[]).done(2)
    assert "error: sums of float32 over the 3 replicas are wrong: " in said
    assert "replica 2 counts 0 times" in said
    assert "Traceback" not in said
    assert not faults.rows(run_dir)
    assert not list(run_dir.glob("checkpoints/step-*"))
