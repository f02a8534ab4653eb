"""float16 with its loss scale, and gradients that travel in bfloat16."""

import keras
import numpy as np
import pytest
from step_cases import (
    BATCH,
    STEPS,
    batches,
    make_data,
    make_model,
    run,
    weights_of,
)

from trainers.checkpoints.checkpoints import Checkpoints
from trainers.step.loss_scale import LARGEST, LossScale

HALF = {"dtype": "mixed_float16"}


def fit(model, data, steps=STEPS):
    """Trains; returns what each step logged."""
    seen = []

    def note(batch, logs):
        logged = {name: float(value) for name, value in logs.items()}
        seen.append({**logged, "weights": weights_of(model)})

    model.fit(
        batches(model, data),
        steps_per_epoch=steps,
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=note)],
        verbose=0,
        shuffle=False,
    )
    return seen


@pytest.mark.long
def test_float16_learns_what_float32_learns():
    _, wanted = run()
    history, weights = run(**HALF, steps_per_execution=5)
    # Adam makes a full step of any gradient: of rounding errors too.
    assert np.abs(weights - wanted).mean() < 2e-3
    assert history["loss"][1] < history["loss"][0]
    assert history["loss_scale"] == [2.0**15] * 2
    assert history["overflow"] == history["skipped"] == [0.0] * 2


@pytest.mark.long
def test_the_scale_itself_changes_nothing():
    """In float32 arithmetic a power of two is exact."""
    model = make_model()
    model.loss_scale = LossScale(initial=2.0**10)
    model.compile(model.optimizer)
    scaled = fit(model, make_data(), 5)[-1]
    plain = fit(make_model(), make_data(), 5)[-1]
    np.testing.assert_allclose(scaled["weights"], plain["weights"], atol=1e-6)
    assert scaled["gradient_norm"] == pytest.approx(plain["gradient_norm"])


@pytest.mark.parametrize(
    "replicas", [1, pytest.param(2, marks=pytest.mark.long)]
)
def test_overflow_on_one_replica_lowers_the_scale_of_all(replicas):
    data = make_data()
    # The last row of the eighth batch: the last replica's.
    data["masked_lm_weights"][8 * BATCH - 1, 0] = np.nan
    model = make_model(replicas, **HALF)
    # Too large for float16, from the first step on.
    model.loss_scale.scale.assign(2.0**22)
    model.loss_scale.growth_steps = 4
    seen = fit(model, data)
    over = [int(step["overflow"]) for step in seen]
    scales = [step["loss_scale"] for step in seen]
    assert over[:2] == [1, 1] and over[7] == 1
    assert all(step["skipped"] == 0 for step in seen)
    finite = 0
    for step, scale, following in zip(over, scales, scales[1:], strict=False):
        finite = 0 if step else finite + 1
        factor = 0.5 if step else 2.0 if finite == 4 else 1.0
        finite %= 4
        assert following == scale * factor
    for before, after in zip(seen, seen[1:], strict=False):
        moved = np.abs(after["weights"] - before["weights"]).max()
        assert (moved == 0) == (after["overflow"] == 1)
    strategy = model.distribute_strategy
    for variable in model.loss_scale.variables().values():
        copies = strategy.experimental_local_results(variable.value)
        assert len({float(copy) for copy in copies}) == 1


def test_at_the_smallest_scale_a_skip_is_a_skip():
    data = make_data()
    data["masked_lm_weights"][:, 0] = np.nan
    model = make_model(**HALF)
    model.loss_scale.scale.assign(4.0)
    seen = fit(model, data, 5)
    assert [step["loss_scale"] for step in seen] == [4, 2, 1, 1, 1]
    assert [step["overflow"] for step in seen] == [1, 1, 0, 0, 0]
    assert [step["skipped"] for step in seen] == [0, 0, 1, 1, 1]
    assert np.isfinite(seen[-1]["weights"]).all()


def test_the_scale_stays_within_its_bounds():
    scale = LossScale(LARGEST, growth_steps=1)
    scale.adapt(np.bool_(True))
    assert float(scale.scale) == LARGEST
    with pytest.raises(ValueError, match="a loss scale from 1 to"):
        LossScale(0.5)


@pytest.mark.long
def test_a_checkpoint_holds_the_scale_and_fits_other_precisions(tmp_path):
    model = make_model(**HALF)
    model.loss_scale.growth_steps = 3
    fit(model, make_data(), 5)
    Checkpoints(tmp_path).save(model, 5)
    again = make_model(**HALF)
    assert Checkpoints(tmp_path).restore(again).step == 5
    assert float(again.loss_scale.scale) == 2.0**16
    assert int(again.loss_scale.finite_steps) == 2
    # On in float32, and back.
    single = make_model()
    Checkpoints(tmp_path).restore(single)
    np.testing.assert_array_equal(weights_of(single), weights_of(model))
    Checkpoints(tmp_path).save(single, 6)
    back = make_model(**HALF)
    assert Checkpoints(tmp_path).restore(back).step == 6
    assert float(back.loss_scale.scale) == 2.0**15


@pytest.mark.long
def test_gradients_that_travel_in_bfloat16():
    """Each sum of R parts is off by less than R 2^-8 of the parts' sizes."""
    wanted = fit(make_model(2), make_data(), 3)
    narrow = fit(make_model(2, all_reduce_dtype="bfloat16"), make_data(), 3)
    for one, other in zip(wanted, narrow, strict=True):
        assert other["gradient_norm"] != one["gradient_norm"]
        assert other["gradient_norm"] == pytest.approx(
            one["gradient_norm"], rel=2 * 2**-8
        )
        # Losses and counts are summed in float32 all the same.
        assert other["tokens"] == one["tokens"]
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-2)
    assert narrow[0]["loss"] == pytest.approx(wanted[0]["loss"], rel=1e-6)
