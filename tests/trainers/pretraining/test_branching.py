"""`pretrain --branch STEP`: a run that is ended in more than one place."""

import json
import math

import numpy as np
import pytest
from safetensors.numpy import load_file

from tfbert.errors import UserError
from trainers import pretrain
from trainers.pretraining.branching import total_steps


def options(corpus, run_dir, *more, **changes):
    records = str(corpus / "records")
    stages = [
        {"steps": 6, "records": records, "batch_size": 4},
        {"steps": 14, "records": records},
    ]
    settings = {
        "model.preset": "tiny",
        "model.num_hidden_layers": 1,
        "model.hidden_size": 16,
        "model.intermediate_size": 32,
        "model.num_attention_heads": 2,
        "model.max_position_embeddings": 16,
        "model.hidden_dropout_prob": 0.1,
        "optimization.stages": json.dumps(stages),
        "optimization.batch_size": 8,
        "optimization.steps": 20,
        "optimization.warmup_steps": 2,
        "optimization.schedule": "stable_decay",
        "optimization.decay_share": 0.4,
        "optimization.learning_rate": 1e-3,
        "runtime.run_dir": run_dir,
        "runtime.evaluate_every": 5,
        "runtime.checkpoint_every": 3,
        "runtime.keep_checkpoints": 9,
        "runtime.log_every": 1,
    }
    settings |= {k.replace("__", "."): v for k, v in changes.items()}
    given = [text for k, v in settings.items() for text in (f"--{k}", str(v))]
    return [*given, *more]


def rows(run_dir, split):
    lines = map(json.loads, (run_dir / "metrics.jsonl").open())
    return {row["step"]: row["loss"] for row in lines if row["split"] == split}


@pytest.fixture(scope="module")
def run(small_corpus, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "long"
    pretrain.main(options(small_corpus, run_dir))
    return run_dir


@pytest.mark.long
@pytest.mark.parametrize("step", [6, 9])
def test_it_is_the_run_of_as_many_steps(
    small_corpus, run, tmp_path, capsys, step
):
    branch = run.with_name(f"long-branch-{step}")
    pretrain.main(options(small_corpus, run, "--branch", str(step)))
    assert f"A branch of {run} at step {step}" in capsys.readouterr().out
    total = {6: 10, 9: 15}[step]
    whole = tmp_path / "whole"
    records = str(small_corpus / "records")
    stages = [
        {"steps": 6, "records": records, "batch_size": 4},
        {"steps": total - 6, "records": records},
    ]
    changed = {"optimization__steps": total}
    changed["optimization__stages"] = json.dumps(stages)
    pretrain.main(options(small_corpus, whole, **changed))
    for name in ("model", "optimizer"):
        found, wanted = (
            load_file(path / f"checkpoints/step-{total:08d}/{name}.safetensors")
            for path in (branch, whole)
        )
        for key, value in wanted.items():
            np.testing.assert_array_equal(found[key], value, err_msg=key)
    for split in ("train", "validation"):
        assert rows(branch, split) == rows(whole, split)
    # The same command again finds it done.
    pretrain.main(options(small_corpus, run, "--branch", str(step)))
    assert f"is its step {total} of {total}" in capsys.readouterr().out.replace(
        "\n", " "
    )
    assert rows(run, "train").keys() == set(range(1, 21))


@pytest.mark.long
@pytest.mark.parametrize(
    "more, changes, message",
    [
        (["--branch", "7"], {}, "no checkpoint of step 7; there are .* 3, 6"),
        (["--branch", "15"], {}, "from 2 to 12, behind warm-up and .* got 15"),
        (["--branch", "1"], {}, "from 2 to 12, .* got 1"),
        (["--branch", "6", "--budget", "9m"], {}, "leave out --budget"),
        (["--branch", "6"], {"seed": 4}, "seed: the run has 0, now 4"),
        (
            ["--branch", "6"],
            {"optimization__schedule": "linear"},
            "optimization.schedule: the run has 'stable_decay', now 'linear'",
        ),
    ],
)
def test_mistakes_are_named(small_corpus, run, more, changes, message):
    with pytest.raises(UserError, match=message):
        pretrain.main(options(small_corpus, run, *more, **changes))


def test_there_is_no_run_to_leave(small_corpus, tmp_path):
    with pytest.raises(UserError, match="a run in runtime.run_dir to branch"):
        pretrain.main(options(small_corpus, tmp_path, "--branch", "6"))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.2, 0.5, 0.9])
def test_the_decay_begins_where_the_branch_does(share):
    for step in (1, 2, 7, 100, 999):
        total = total_steps(step, share)
        # As the schedule rounds.
        assert total - max(1, round(share * total)) == step
        assert total == pytest.approx(step / (1 - share), abs=1 / (1 - share))
        assert math.ceil(total) == total
