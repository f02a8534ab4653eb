"""`finetune` for several seeds and settings, and without training."""

import json

import numpy as np
import pytest
from few_reviews import ROWS


@pytest.mark.long
def test_a_dry_run_tells_and_leaves_nothing(
    quick, tmp_path, monkeypatch, capsys
):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    plan = quick(dry_run=True, seeds=3, steps=1000)
    assert plan["parameters"] > 1000
    assert plan["seconds"] > plan["step_seconds"] > 0
    assert "Memory of one device" in capsys.readouterr().out
    quick(dry_run=True, run_dir=tmp_path / "run")
    assert [one.name for one in tmp_path.iterdir()] == ["temporary"]
    assert not any((tmp_path / "temporary").glob("tfbert*"))


@pytest.mark.long
def test_seeds_give_a_run_each_and_their_spread(quick, tmp_path):
    given = {"seeds": 2, "seed": 5, "run_dir": tmp_path / "runs"}
    found = quick(validation=ROWS[:6], **given)
    assert list(found.runs) == [5, 6]
    assert found.run_dir == tmp_path / "runs"
    told = json.loads((tmp_path / "runs" / "summary.json").read_text())
    assert told["spread"] == found.spread
    losses = [run.figures["validation_loss"] for run in found.runs.values()]
    assert found.spread["validation_loss"]["mean"] == pytest.approx(
        np.mean(losses)
    )
    one = found.runs[6]
    assert one.model is None
    assert one.run_dir == tmp_path / "runs" / "seed-6"
    assert one.predict(["fun"])[0]["label"] in ("good", "bad")
    # The same call again finds them complete.
    again = quick(validation=ROWS[:6], **given)
    assert again.spread == found.spread


@pytest.mark.long
def test_a_sweep_gives_all_points_and_the_best_run(quick, tmp_path):
    found = quick(
        validation=ROWS[:6],
        run_dir=tmp_path / "grid",
        sweep={"learning_rate": np.array([1e-6, 0.02]), "steps": [9]},
        steps=2,
    )
    assert found.metric == "validation_accuracy"
    assert [one["settings"] for one in found.points] == [
        {"optimization.learning_rate": rate, "optimization.steps": "9"}
        for rate in ("1e-06", "0.02")
    ]
    told = json.loads((tmp_path / "grid" / "sweep.json").read_text())
    assert told["runs"] == found.points
    figures = [one["figures"] for one in found.points]
    best = max(figures, key=lambda one: one[found.metric])
    assert found.best.figures == best
    assert str(found.best.run_dir) in [one["run_dir"] for one in found.points]
    assert found.best.evaluate(ROWS[:6])["accuracy"] == best[found.metric]
    assert found.best.export(tmp_path / "out").is_dir()


@pytest.mark.long
def test_a_sweep_as_the_verb_has_it_with_seeds(quick, tmp_path):
    found = quick(
        validation=ROWS[:6],
        run_dir=tmp_path / "grid",
        sweep="learning_rate=[1e-3]; max_length=[10, 12]",
        seeds=2,
    )
    assert len(found.points) == 2
    assert list(found.best.runs) == [0, 1]
    lengths = {run._saved.kind.max_length for run in found.best.runs.values()}
    [best] = [
        p for p in found.points if str(found.best.run_dir) == p["run_dir"]
    ]
    assert lengths == {int(best["settings"]["data.max_length"])}
