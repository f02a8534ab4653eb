"""Resuming: damaged checkpoints, other settings, other workers, every step."""

import shutil
import signal

import numpy as np
import pytest


@pytest.fixture(scope="module")
def half_run(faults, tmp_path_factory):
    """A run that was killed at step 40; its checkpoints are 10, 20 and 30."""
    run_dir = tmp_path_factory.mktemp("half") / "run"
    fault = ["rename", "step-00000040", "before"]
    assert faults.pretrain(run_dir, die_at=fault).wait() == -signal.SIGKILL
    return run_dir


@pytest.fixture
def run_dir(half_run, tmp_path):
    """A copy of it."""
    return shutil.copytree(half_run, tmp_path / "run")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("flip", "model.safetensors is damaged: wanted "),
        ("lose", "optimizer.safetensors"),
        ("empty", "checkpoint.json"),
    ],
    ids=["F28", "F29-lost", "F29-empty"],
)
@pytest.mark.faults
def test_a_damaged_checkpoint_is_passed_over(
    faults, run_dir, reference, damage, says
):
    newest = run_dir / "checkpoints" / "step-00000030"
    if damage == "flip":
        content = bytearray((newest / "model.safetensors").read_bytes())
        content[len(content) // 2] ^= 1
        (newest / "model.safetensors").write_bytes(content)
    elif damage == "lose":
        (newest / "optimizer.safetensors").unlink()
    else:
        (newest / "checkpoint.json").write_bytes(b"")
        (run_dir / "checkpoints" / "latest").write_bytes(b"")
    said = faults.pretrain(run_dir).done()
    assert "warning: passed over a checkpoint: " in said and says in said
    assert "Resuming at step 20 of 60" in said
    (event,) = faults.events(run_dir, "restored")
    assert event["step"] == 20 and says in event["passed_over"][0]
    faults.assert_same(run_dir, reference)


@pytest.mark.faults
def test_f30_all_checkpoints_are_damaged(faults, run_dir):
    for path in (run_dir / "checkpoints").glob("*/model.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    before = [n for n in faults.checkpoints(run_dir) if n[0] != "."]
    said = faults.pretrain(run_dir).done(2)
    assert "error: no checkpoint in" in said and "is intact" in said
    assert "step 1/60" not in said
    assert faults.checkpoints(run_dir) == before


@pytest.mark.faults
def test_f31_another_run_is_refused_with_the_difference(
    faults, run_dir, tmp_path
):
    changes = {
        "model.hidden_size": 32,
        "optimization.optimizer": "lamb",
        "seed": 5,
    }
    said = faults.pretrain(run_dir, changes).done(2)
    assert "model.hidden_size: the run has 64, now 32" in said
    assert "optimization.optimizer: the run has 'adamw', now 'lamb'" in said
    assert "seed: the run has 0, now 5" in said
    # Other data, and another vocabulary, under the same name.
    records = tmp_path / "records"
    shutil.copytree(faults.data, records)
    moved, allow = {"data.records": records}, "runtime.allow_change"
    said = faults.pretrain(run_dir, moved).done(2)
    assert "data.records: the run has" in said
    faults.pretrain(
        run_dir,
        {**moved, allow: "[data.records]"},
        die_at=["rename", "step-00000040", "after"],
    ).wait()
    shutil.rmtree(records)
    words = [
        w for w in (faults.data / "vocab.txt").read_text().split("\n") if w
    ]
    (tmp_path / "vocab.txt").write_text(
        "\n".join([*words[:5], *reversed(words[5:])]) + "\n"
    )
    faults.start(
        "records",
        ["--input", faults.data.parent / "text.txt"]
        + ["--vocab", tmp_path / "vocab.txt", "--output", records]
        + "--max_length 64 --held_out 0.1 --processes 1".split(),
    ).done()
    said = faults.pretrain(run_dir, moved).done(2)
    assert "data: the checkpoint has" in said
    assert "vocabulary: the checkpoint has" in said
    # The data may change where one says so; what ids stand for may not.
    said = faults.pretrain(run_dir, {**moved, allow: "[data.records]"}).done(2)
    assert "vocabulary: the checkpoint has" in said
    assert "  data: the checkpoint" not in said


@pytest.mark.faults
def test_f32_one_then_two_then_one_worker(
    faults, tmp_path, reference_without_dropout, two_workers
):
    run_dir, change = tmp_path / "run", faults.no_dropout
    fault = {"die_at": ["rename", "step-00000020", "after"]}
    assert faults.pretrain(run_dir, change, **fault).wait() == -signal.SIGKILL
    # The other worker is told by the harness; both are killed at step 40.
    jobs = faults.workers(run_dir, 2, change, pause=[0.02])
    jobs[0].until_step(41)
    for job in jobs:
        job.signal(signal.SIGKILL)
    for job in jobs:
        job.wait()
    assert "Resuming at step 20 of 60" in jobs[0].said
    halves = {**change, "optimization.accumulation_steps": 2}
    halves["runtime.allow_change"] = "[optimization.accumulation_steps]"
    said = faults.pretrain(run_dir, halves).done()
    assert "2 micro-batches x 4 rows" in said
    assert "Resuming at step" in said
    faults.assert_close(run_dir, reference_without_dropout)


@pytest.mark.faults
def test_f49_other_intervals(faults, run_dir, reference):
    change = {
        "runtime.steps_per_loop": 7,
        "runtime.evaluate_every": 13,
        "runtime.checkpoint_every": 9,
        "runtime.log_every": 4,
        "runtime.keep_checkpoints": 9,
    }
    said = faults.pretrain(run_dir, change).done()
    assert "Resuming at step 30 of 60" in said
    steps = [int(n[-8:]) for n in faults.checkpoints(run_dir) if n[0] == "s"]
    assert [s for s in steps if s > 30] == [36, 45, 54, 60]
    # Rows of the log are means of other intervals; the weights are the same.
    faults.assert_same_weights(run_dir, reference)
    judged = [row["step"] for row in faults.rows(run_dir, "validation")]
    assert [step for step in judged if step > 30] == [39, 52, 60]


def resumed_at(every, steps, records, folder):
    """Bytes of all variables at the end, by the step that it went on from."""
    import tensorflow as tf

    from tfbert.config import BertConfig
    from tfbert.tasks.pretraining import PretrainingTask
    from tfrecords.batches.dataset import Masking, pretraining_batches
    from tfrecords.storage.reader import Records
    from trainers.checkpoints.checkpoints import Checkpoints
    from trainers.step.training_model import TrainingModel

    records = Records(records)
    config = BertConfig.preset(
        "tiny",
        vocab_size=len(records.vocabulary),
        hidden_size=64,
        intermediate_size=128,
        max_position_embeddings=64,
    )
    model = TrainingModel(PretrainingTask(config, seed=1), seed=1)
    import keras

    model.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.01))
    train = model.make_train_function()
    found = {}

    def go_on(first):
        batches = pretraining_batches(
            records,
            Masking(max_predictions=10),
            seed=3,
            global_batch_size=8,
            start_step=first,
        )
        batches = iter(batches)
        for step in range(first, steps):
            if first == 0:
                (folder / str(step)).mkdir()
                Checkpoints(folder / str(step)).save(model, step)
            train(batches)
        variables = [*model.task.variables, *model.optimizer.variables]
        found[first] = b"".join(
            np.asarray(tf.convert_to_tensor(v.value)).tobytes()
            for v in variables
        )

    go_on(0)
    for first in range(every, steps, every):
        restored = Checkpoints(folder / str(first)).restore(model)
        assert restored.step == first
        go_on(first)
    return found


@pytest.mark.parametrize(
    "every", [17, pytest.param(1, marks=pytest.mark.faults)]
)
def test_f33_resumed_at_every_step(faults, tmp_path, every):
    found = resumed_at(every, faults.steps, faults.data, tmp_path)
    assert len(found) == -(-faults.steps // every)
    assert set(found.values()) == {found[0]}
