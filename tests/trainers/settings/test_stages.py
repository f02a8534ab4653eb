import types

import pytest

from tfbert.errors import UserError
from trainers.planning.budget import (
    steps_of_run,
    steps_of_shares,
    with_steps,
)
from trainers.planning.dry_run import Timing
from trainers.settings.pretraining_optimization import PretrainingOptimization
from trainers.settings.stages import Stage, steps_of_stages


def settings(stages, **changes):
    return PretrainingOptimization(batch_size=8, stages=stages, **changes)


@pytest.mark.parametrize("total", [3, 7, 100, 1001])
def test_stages_fill_the_run_by_their_shares(total):
    stages = [Stage(0.5), Stage(0.2), Stage(0.3)]
    steps = steps_of_stages(stages, total) if total > 3 else [2, 0, 1]
    assert sum(steps) == total
    for stage, count in zip(stages, steps, strict=True):
        assert abs(count - stage.share * total) < 1


def test_each_stage_reads_on_in_its_own_source():
    stages = [
        Stage(steps=3, records="a", batch_size=16),
        Stage(steps=2, records="b"),
        Stage(steps=4, records="a"),
    ]
    plan = settings(stages, steps=9).batch_plan
    assert plan.changes == [3, 5]
    assert [plan.size_of(batch) for batch in (2, 3, 8)] == [16, 8, 8]
    firsts = [plan.first_row(batch) for batch in range(9)]
    assert firsts == [0, 16, 32, 0, 8, 48, 56, 64, 72]
    assert [plan.rows_before(batch) for batch in (0, 3, 5, 9)] == [
        0,
        48,
        64,
        96,
    ]
    assert [plan.part_of(batch).number for batch in (2, 3, 4, 5)] == [
        0,
        1,
        1,
        2,
    ]


@pytest.mark.parametrize(
    "stages, changes, message",
    [
        ([], {}, "one stage or more in optimization.stages, got none"),
        ([Stage(0.5), Stage(0.4)], {}, r"add up to 1, got 0.5 \+ 0.4 = 0.9"),
        ([Stage(1.5), Stage(-0.5)], {}, "a share above 0 in stage 2"),
        ([Stage()], {}, "share or steps in stage 1 .*, got neither"),
        ([Stage(1.0), Stage(steps=3)], {}, "shares in some and steps in oth"),
        ([Stage(steps=3)], {"steps": 4}, "add up to 3, and .*steps is 4"),
        ([Stage(1.0, masking_rate=0.95)], {}, "up to 0.9 in stage 1 .*0.95"),
        ([Stage(1.0, batch_size=0)], {}, "a batch_size above 0 in stage 1"),
        ([Stage(0.99), Stage(0.01)], {"steps": 9}, "stage 2 .* is none"),
        ([Stage(1.0)], {"warmup_tokens": 9}, "optimization.warmup_tokens, got"),
        ([Stage(1.0)], {"batch_ramp": []}, "optimization.batch_ramp, got both"),
    ],
)
def test_mistakes_are_named(stages, changes, message):
    with pytest.raises(UserError, match=message):
        settings(stages, **changes).batch_plan  # noqa: B018


def test_shares_of_a_budget_are_of_its_time():
    fast = Timing(first=2.0, step=0.1, tokens=1.0, predictions=1.0)
    slow = Timing(first=2.0, step=1.0, tokens=1.0, predictions=1.0)
    steps = steps_of_shares(1000 / 0.95, [fast, slow], [0, 0], [0.7, 0.3], 10)
    assert steps == [7000, 300]
    # Two evaluations of 5 s and 10 s, and one every ten steps.
    steps = steps_of_shares(1000 / 0.95, [fast, slow], [5, 10], [0.7, 0.3], 10)
    assert steps == [int(985 * 0.7 / 0.6), int(985 * 0.3 / 2)]
    found = with_steps(settings([Stage(0.7), Stage(0.3)]), steps)
    assert [stage.steps for stage in found.stages] == steps
    assert found.steps == sum(steps)
    assert found.batch_plan.changes == [steps[0]]


def test_a_run_of_stages_without_a_budget_says_so(tmp_path):
    (tmp_path / "settings.yaml").write_text(
        "optimization: {steps: 9, stages: [{share: 1.0, steps: null}]}\n"
    )
    given = types.SimpleNamespace(
        runtime=types.SimpleNamespace(run_dir=tmp_path),
        budget="1h",
        optimization=settings([Stage(1.0)]),
    )
    with pytest.raises(UserError, match="a run of 9 steps with no budget"):
        steps_of_run(given)
