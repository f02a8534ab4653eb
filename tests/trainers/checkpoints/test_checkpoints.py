"""Checkpoints by themselves: order on the disk, keeping, refusing."""

import contextlib
import errno
import json
import os
import shutil
import threading
import types

import keras
import numpy as np
import pytest

from tfbert import files
from tfbert.errors import UserError
from trainers.checkpoints import checkpoints
from trainers.checkpoints import files as checkpoint_files
from trainers.checkpoints.checkpoints import Checkpoints
from trainers.checkpoints.files import MASKS_FACT, SaveError, read_state


@pytest.fixture
def model():
    """As much of a TrainingModel as a checkpoint asks for."""
    task = keras.layers.Dense(3, name="task")
    task.build((None, 4))
    optimizer = keras.optimizers.AdamW(1e-3)
    optimizer.build(task.trainable_variables)
    return types.SimpleNamespace(
        task=task,
        optimizer=optimizer,
        state_variables={"loss_scale/scale": keras.Variable(8.0)},
        averaged=contextlib.nullcontext,
    )


def kernel(model):
    return np.array(model.task.kernel)


def test_f8_what_is_renamed_is_on_the_disk(tmp_path, model, monkeypatch):
    """fsync of every file, then of the folder, then rename, then fsync."""
    said = []
    places = {}

    def opened(path, *arguments, **options):
        descriptor = original_open(path, *arguments, **options)
        places[descriptor] = os.path.basename(path)
        return descriptor

    original_open, original_sync = os.open, os.fsync
    original_rename = os.rename
    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(
        os,
        "fsync",
        lambda d: (said.append(places.get(d, "?")), original_sync(d)),
    )
    monkeypatch.setattr(
        os,
        "rename",
        lambda a, b: (said.append("rename"), original_rename(a, b)),
    )
    Checkpoints(tmp_path).save(model, 7)
    where = said.index("rename")
    assert {
        "model.safetensors",
        "optimizer.safetensors",
        "checkpoint.json",
    } < set(said[:where])
    assert said[where - 1].startswith(".tmp-")
    assert said[where + 1 :] == ["checkpoints"]


def test_what_is_saved_comes_back_exactly(tmp_path, model):
    saved = Checkpoints(tmp_path, facts={"seed": 3})
    saved.save(model, 7, {"guard": {"values": [0.1]}, "validation": None})
    wanted = kernel(model)
    model.task.kernel.assign(wanted + 1)
    model.state_variables["loss_scale/scale"].assign(1.0)
    restored = Checkpoints(tmp_path, facts={"seed": 3}).restore(model)
    assert restored.step == 7 and restored.passed_over == []
    assert restored.state["guard"] == {"values": [0.1]}
    assert kernel(model).tobytes() == wanted.tobytes()
    assert float(model.state_variables["loss_scale/scale"]) == 8.0


def test_beside_the_training_the_snapshot_counts(tmp_path, model, monkeypatch):
    """What is trained while a checkpoint is written does not reach it."""
    go = threading.Event()
    original = checkpoint_files.write_tensors

    def waiting(*arguments):
        go.wait(10)
        return original(*arguments)

    monkeypatch.setattr(checkpoint_files, "write_tensors", waiting)
    saved = Checkpoints(tmp_path, background=True)
    wanted = kernel(model)
    saved.save(model, 1)
    saved.check()
    assert saved.steps() == []
    model.task.kernel.assign(wanted + 1)
    go.set()
    saved.wait()
    assert saved.steps() == [1]
    saved.restore(model)
    assert kernel(model).tobytes() == wanted.tobytes()


def test_never_more_than_one_in_flight(tmp_path, model, monkeypatch):
    inside, most = [], []
    original = checkpoints.write_checkpoint

    def counting(*arguments):
        inside.append(1)
        most.append(len(inside))
        original(*arguments)
        inside.pop()

    monkeypatch.setattr(checkpoints, "write_checkpoint", counting)
    saved = Checkpoints(tmp_path, background=True)
    for step in range(1, 6):
        saved.save(model, step)
        # At most the one before is not yet on the disk.
        assert saved.steps()[-1:] in ([step - 1], [step], [])
        assert step < 3 or saved.steps()[-1] >= step - 1
    saved.wait()
    assert max(most) == 1 and saved.steps() == [3, 4, 5]


def test_what_goes_wrong_beside_the_training_is_told(
    tmp_path, model, monkeypatch
):
    saved = Checkpoints(tmp_path, background=True)
    saved.save(model, 1)
    saved.wait()
    usage = types.SimpleNamespace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    saved.save(model, 2)
    with pytest.raises(SaveError, match=r"needs \d+ kB, has 10 kB"):
        saved.wait()
    # Told once; the checkpoint before is whole, and nothing else is there.
    saved.check()
    assert os.listdir(tmp_path / "checkpoints") == ["step-00000001"]


def test_a_run_folder_that_has_gone_is_not_made_again(tmp_path, model):
    with pytest.raises(SaveError, match="the run folder .* has gone"):
        Checkpoints(tmp_path / "gone").save(model, 1)
    assert not (tmp_path / "gone").exists()


def test_the_newest_and_the_best_stay(tmp_path, model):
    saved = Checkpoints(tmp_path, keep=2, keep_best=1)
    losses = [3.0, 1.0, None, float("nan"), 2.0, 1.5]
    for step, loss in enumerate(losses, 1):
        values = {"validation": {"loss": loss}} if loss else {}
        saved.save(model, step, values)
    assert saved.steps() == [2, 5, 6]
    # One that cannot be read is none of the best.
    (saved.path(2) / "checkpoint.json").write_text("[")
    saved.save(model, 7)
    assert saved.steps() == [6, 7]


def test_another_run_is_refused_with_the_difference(tmp_path, model):
    facts = {"seed": 3, "data": "a" * 64, "vocabulary": "b" * 64}
    Checkpoints(tmp_path, facts=facts).save(model, 1)
    other = {**facts, "data": "c" * 64, "seed": 4}
    with pytest.raises(UserError) as caught:
        Checkpoints(tmp_path, facts=other).check_run()
    message = str(caught.value)
    assert "data: the checkpoint has aaaaaaaaaaaa..., now cccccc" in message
    assert "seed: the checkpoint has 3, now 4" in message
    assert "vocabulary" not in message
    with pytest.raises(UserError, match="was made by another run"):
        Checkpoints(tmp_path, facts=other).restore(model)
    allowed = ["seed", "data.records"]
    free = Checkpoints(tmp_path, facts=other, allowed=allowed)
    free.check_run()
    assert free.restore(model).step == 1
    # One without facts, of an older version, is compared in nothing.
    path = free.path(1) / "checkpoint.json"
    state = read_state(free.path(1))
    del state["facts"]
    path.write_text(json.dumps(state))
    Checkpoints(tmp_path, facts=other).check_run()


def test_masks_do_not_change_on_the_way(tmp_path, model):
    """A run of before masks were told of has the first ones."""
    Checkpoints(tmp_path, facts={"seed": 3}).save(model, 1)
    now = {"seed": 3, MASKS_FACT: "2"}
    with pytest.raises(UserError, match=r"masks: the checkpoint has '1', now"):
        Checkpoints(tmp_path, facts=now).check_run()
    allowed = ["data.masking.max_predictions"]
    Checkpoints(tmp_path, facts=now, allowed=allowed).check_run()
    Checkpoints(tmp_path, facts={"seed": 3}).check_run()
    Checkpoints(tmp_path, facts=now).save(model, 2)
    Checkpoints(tmp_path, facts=now).check_run()


def test_a_lost_file_of_a_checkpoint_is_passed_over(tmp_path, model):
    saved = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        saved.save(model, step)
    (saved.path(3) / "optimizer.safetensors").unlink()
    (saved.path(2) / "checkpoint.json").write_text("3")
    (tmp_path / "checkpoints" / "latest").write_text("")
    restored = Checkpoints(tmp_path).restore(model)
    assert restored.step == 1
    assert "optimizer.safetensors" in restored.passed_over[0]
    assert "wanted an object, got int" in restored.passed_over[1]
    (saved.path(1) / "model.safetensors").write_bytes(b"x")
    with pytest.raises(UserError, match="no checkpoint in .* is intact"):
        Checkpoints(tmp_path).restore(model)


def test_an_optimizer_with_two_variables_of_one_name(tmp_path, model):
    name = model.optimizer.variables[0].path.split("/", 1)[-1]
    model.state_variables[name] = model.task.kernel
    with pytest.raises(ValueError, match="two optimizer variables are named"):
        Checkpoints(tmp_path).save(model, 1)


def test_what_a_killed_writer_left_is_removed(tmp_path, model):
    saved = Checkpoints(tmp_path)
    saved.save(model, 1)
    (tmp_path / "checkpoints" / f"{files.TEMPORARY_PREFIX}x").mkdir()
    assert saved.restore(model).step == 1
    assert os.listdir(tmp_path / "checkpoints") == ["step-00000001"]


def test_where_folders_cannot_be_renamed(tmp_path, model, monkeypatch):
    """A mounted bucket: saved, dropped, set aside and restored all the same."""
    rename = os.rename

    def refusing(source, target, **options):
        if os.path.isdir(source):
            raise OSError(errno.EMFILE, "Too many open files", str(source))
        rename(source, target, **options)

    monkeypatch.setattr(os, "rename", refusing)
    saved = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 3):
        model.task.kernel.assign_add(np.ones((4, 3)))
        saved.save(model, step)
        if step == 2:
            before = kernel(model)
    assert saved.steps() == [2, 3]
    # One that was being moved when its writer was killed is none.
    shutil.copytree(saved.path(3), saved.path(4))
    (saved.path(4) / files.INCOMPLETE).touch()
    assert saved.steps() == [2, 3]
    (saved.path(3) / checkpoint_files.MODEL_FILE).write_bytes(b"damaged")
    restored = saved.restore(model)
    assert restored.step == 2 and len(restored.passed_over) == 1
    assert np.array_equal(kernel(model), before)
    names = sorted(os.listdir(saved.folder))
    assert names == ["damaged-00000003", "step-00000002"]


def test_an_address_is_no_folder_for_checkpoints():
    with pytest.raises(UserError, match="the run's folder, got memory://run"):
        Checkpoints("memory://run")


@pytest.mark.parametrize("background", [True, False])
def test_what_a_checkpoint_counts_on_is_written_before_it(
    background, tmp_path, model
):
    saved = Checkpoints(tmp_path, background=background)
    said, fails = [], [True]

    def first():
        said.append(saved.steps())
        if fails[0]:
            raise SaveError("no room")

    def begin(begins, *arguments):
        with pytest.raises(SaveError, match="no room"):
            begins(*arguments)
            saved.wait()

    saved.write_first(first)
    begin(saved.begin_first)
    begin(saved.save, model, 1)
    assert saved.steps() == [] and said == [[], []]
    fails[0] = False
    saved.save(model, 2)
    saved.save(model, 3)
    saved.wait()
    # Tried again, done once.
    assert saved.steps() == [2, 3] and said == [[], [], []]
    saved.begin_first()
    saved.wait()
    assert len(said) == 3


def test_what_waits_is_forgotten_with_the_steps_after_a_restored_one(
    tmp_path, model
):
    saved = Checkpoints(tmp_path)
    saved.save(model, 1)
    saved.write_first(lambda: pytest.fail("of a step that is done again"))
    assert saved.restore(model).step == 1
    saved.save(model, 2)


def test_a_start_removes_what_a_killed_writer_left_in_the_run(tmp_path, model):
    (tmp_path / f"{files.TEMPORARY_PREFIX}x").write_text("half a file")
    Checkpoints(tmp_path, is_chief=False).restore(model)
    assert len(os.listdir(tmp_path)) == 1
    Checkpoints(tmp_path).restore(model)
    assert os.listdir(tmp_path) == []
