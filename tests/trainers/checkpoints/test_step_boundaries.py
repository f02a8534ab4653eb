"""What is due at a step comes at that step, however long a loop is."""

import itertools
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from trainers import pretrain
from trainers.checkpoints.step_boundaries import Boundaries, crossed
from trainers.step.compiled_loop import SKIP_RUNS, compile_loop


@pytest.mark.parametrize(
    "loop, evaluate, save, end",
    [*itertools.product((1, 4, 7), (6, 10), (4, 5, 12), (23, 24))],
)
def test_every_boundary_is_met_from_every_step(loop, evaluate, save, end):
    bounds = Boundaries(loop, evaluate, save, end)
    for start in range(end):
        step, met, epochs = start, [], []
        while step < end:
            until, calls = bounds.epochs(step)
            while step < min(until, end):
                # One epoch of `fit`: no more than `calls` calls.
                target = min(end, (step // evaluate + 1) * evaluate)
                for _ in range(calls):
                    if step == target:
                        break
                    step += min(loop, bounds.after(step) - step)
                    met.append(step)
                assert step == target
                epochs.append(step)
        due = range(start + 1, end + 1)
        wanted = [s for s in due if s % evaluate == 0 or s == end]
        assert epochs == wanted
        assert {s for s in due if s % save == 0} | {end} <= set(met)
        assert met[-1] == end


def test_crossed():
    assert [s for s in range(3, 20, 3) if crossed(s - 3, s, 5)] == [6, 12, 15]


@pytest.mark.parametrize(
    "skips, runs",
    [
        ("0", (0, 0, 0)),
        ("1", (1, 1, 1)),
        ("111", (3, 3, 3)),
        ("1101", (2, 1, 2)),
        ("0110", (0, 0, 2)),
        ("01011", (0, 2, 2)),
        ("1110100", (3, 0, 3)),
    ],
)
@pytest.mark.parametrize("eagerly", [False, True])
def test_how_skipped_steps_lie(skips, runs, eagerly):
    values = tf.data.Dataset.from_tensor_slices([float(s) for s in skips])
    loop = compile_loop(
        tf.distribute.get_strategy(),
        lambda value: {"skipped": value, "loss": (value, 1.0)},
        max(len(skips), 2),
        eagerly,
    )
    (total, count), scalars = _run(loop, values, len(skips))
    assert tuple(scalars[SKIP_RUNS]) == runs
    assert scalars["skipped"] == pytest.approx(skips.count("1") / len(skips))
    assert total == skips.count("1") and count == len(skips)


def _run(loop, values, count):
    pairs, scalars = loop(iter(values), tf.constant(count))
    return pairs["loss"], {k: v.numpy() for k, v in scalars.items()}


def train(corpus, run_dir, **changes):
    settings = {
        "model.preset": "tiny",
        "model.hidden_size": 16,
        "model.intermediate_size": 32,
        "model.num_hidden_layers": 1,
        "model.max_position_embeddings": 16,
        "data.records": corpus / "records",
        "data.masking.max_predictions": 3,
        "optimization.batch_size": 4,
        "optimization.steps": 23,
        "optimization.warmup_steps": 4,
        "runtime.run_dir": run_dir,
        "runtime.keep_checkpoints": 30,
        "runtime.evaluate_every": 12,
        "runtime.checkpoint_every": 7,
    }
    settings |= {f"runtime.{name}": value for name, value in changes.items()}
    pretrain.main([t for k, v in settings.items() for t in (f"--{k}", str(v))])


def steps_of(run_dir, split):
    rows = map(json.loads, (run_dir / "metrics.jsonl").open())
    return [row["step"] for row in rows if row["split"] == split]


@pytest.mark.long
def test_a_run_goes_on_with_other_intervals(small_corpus, tmp_path):
    """Its steps, and what it learns, are those of the run left alone."""
    whole, run_dir = tmp_path / "whole", tmp_path / "run"
    train(small_corpus, whole)
    shutil.copytree(whole, run_dir)
    folder = run_dir / "checkpoints"
    for step in (14, 21, 23):
        shutil.rmtree(folder / f"step-{step:08d}")
    other = {"evaluate_every": 9, "checkpoint_every": 4, "log_every": 5}
    train(small_corpus, run_dir, steps_per_loop=5, **other)
    saved = sorted(int(path.name[-8:]) for path in folder.glob("step-*"))
    assert [step for step in saved if step] == [7, 8, 12, 16, 20, 23]
    assert steps_of(run_dir, "validation") == [0, 9, 18, 23]
    assert steps_of(run_dir, "train")[-1] == 23
    for name in ("model", "optimizer"):
        one, two = (
            load_file(path / f"checkpoints/step-00000023/{name}.safetensors")
            for path in (whole, run_dir)
        )
        assert one.keys() == two.keys()
        for key, value in one.items():
            np.testing.assert_array_equal(two[key], value, key)
