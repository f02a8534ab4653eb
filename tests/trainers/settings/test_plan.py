import pytest

from tfbert.errors import UserError
from trainers.planning.budget import parse_budget, steps_that_fit
from trainers.planning.dry_run import EVALUATION_SHARE, Timing
from trainers.settings.plan import BatchPlan, RampStage
from trainers.settings.pretraining_optimization import PretrainingOptimization
from trainers.settings.warmup import with_warmup_steps

RAMP = [RampStage(4, 3), RampStage(8, 2)]


def test_batches_lie_end_to_end():
    plan = BatchPlan(16, RAMP)
    sizes = [plan.size_of(batch) for batch in range(8)]
    assert sizes == [4, 4, 4, 8, 8, 16, 16, 16]
    assert [plan.first_row(b) for b in range(8)] == [
        sum(sizes[:b]) for b in range(8)
    ]
    changes = [plan.next_change(batch) for batch in range(8)]
    assert changes == [3, 3, 3, 5, 5, None, None, None]
    assert (plan.sizes, plan.changes) == ([4, 8, 16], [3, 5])
    for rows in range(80):
        steps = plan.steps_for(rows)
        assert plan.first_row(steps) >= rows
        assert steps == 0 or plan.first_row(steps - 1) < rows


def test_without_a_ramp():
    plan = BatchPlan(16)
    assert [plan.first_row(batch) for batch in (0, 1, 100)] == [0, 16, 1600]
    assert plan.next_change(0) is None and plan.changes == []


def test_a_stage_of_nothing():
    for stage in (RampStage(0, 3), RampStage(3, 0)):
        with pytest.raises(UserError, match="above 0 in each stage"):
            BatchPlan(16, [stage])


def test_warm_up_in_steps_share_and_tokens():
    def steps(**changes):
        given = {"batch_size": 16, "steps": 200, "warmup_steps": 7} | changes
        settings = PretrainingOptimization(**given)
        return with_warmup_steps(settings, 32).warmup_steps

    assert steps() == 7
    # Who does not say gets 100, in short runs a tenth.
    assert steps(warmup_steps=None, steps=5000) == 100
    assert steps(warmup_steps=None, steps=100) == 10
    assert steps(warmup_steps=None, steps=3) == 0
    assert steps(warmup_share=0.1) == 20
    assert steps(warmup_tokens=10 * 16 * 32) == 10
    assert steps(warmup_tokens=10 * 16 * 32 + 1) == 11
    # 4 x 3 + 8 x 2 rows, then 16 at a time.
    assert steps(warmup_tokens=(28 + 16) * 32, batch_ramp=RAMP) == 6
    with pytest.raises(UserError, match="got both"):
        steps(warmup_share=0.1, warmup_tokens=10)
    for share in (-0.1, 1.0):
        with pytest.raises(UserError, match="0 to below 1"):
            steps(warmup_share=share)
    with pytest.raises(UserError, match="from 0, got -1"):
        steps(warmup_tokens=-1)
    with pytest.raises(UserError, match="1,954 steps of warm-up, and the run"):
        steps(warmup_tokens=10**6)


def test_budgets_in_words():
    read = {"90s": 90, "30m": 1800, "1.5h": 5400, "1h30m": 5400}
    assert {text: parse_budget(text) for text in read} == read
    for text in ("", "30", "m30", "30 minutes", "0s", "-5m"):
        with pytest.raises(UserError, match="a budget such as"):
            parse_budget(text)


def test_steps_that_fit():
    timing = Timing(first=9.0, step=0.5, tokens=1.0, predictions=1.0)

    def fit(plan, seconds, validation_steps=0):
        evaluation = validation_steps * timing.step * EVALUATION_SHARE
        return steps_that_fit(seconds, timing, plan, 16, 100, evaluation)

    assert fit(BatchPlan(16), 1000 / 0.95 + 0.1) == 2000
    # A hundred steps take 50 s, an evaluation of 30 batches 5 s.
    assert fit(BatchPlan(16), 1000 / 0.95, 30) == (1000 - 10) * 100 // 55
    # A ramp of 28 rows takes as long as 1.75 whole batches.
    assert fit(BatchPlan(16, RAMP), 10 / 0.95 + 0.01) == 5 + 18
    assert fit(BatchPlan(16), -5) == 0
