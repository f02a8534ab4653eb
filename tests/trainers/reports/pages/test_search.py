import json

import pytest

from tfbert.errors import UserError
from trainers import report
from trainers.reports.pages import search


def test_several_seeds_have_mean_and_spread(write_seeds, tmp_path, capsys):
    folder = write_seeds(tmp_path / "ner")
    report.main([str(folder)])
    page = (folder / "report.html").read_text()
    assert "Seeds: ner" in page and page.count("<script") == 0
    for word in ("seed 3", "seed 5", "standard deviation", "0.5500"):
        assert word in page, word
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == (
        "Span F1 on test data: 0.5500 \u00b1 0.1000 (mean \u00b1 standard "
        "deviation of 3 seeds; from 0.4500 to 0.6500)"
    )
    assert last == f"Report: {folder}/report.html"


def test_a_sweep_has_its_best_point(write_sweep, tmp_path):
    folder = write_sweep(tmp_path / "rates")
    text, headline = search.render(folder)
    assert headline[0].label == "Best: Accuracy on validation data"
    assert headline[0].value == "60.4%" and headline[0].main
    assert headline[0].note == "learning_rate 3e-4, batch_size 64"
    assert headline[-1].note == "1 failed"
    assert "--optimization.learning_rate 3e-4" in text
    assert "loss is not &lt;finite&gt;" in text
    assert text.index("<tr class=best>") < text.index(">failed<")


def test_points_of_a_curve_differ_in_one_setting_alone():
    done = [
        {"settings": {"o.a": a, "o.b": b}, "figures": {"m": float(a) + len(b)}}
        for a in ("10", "9", "1e2")
        for b in ("x", "yy")
    ]
    line = search._group("", done[::2], "o.a", ["9", "10", "1e2"], "m", "")
    assert list(line.x) == [0, 1, 2] and list(line.y) == [10, 11, 101]
    assert sorted(["1e2", "z", "9", "10"], key=search._order) == [
        *("9", "10", "1e2", "z"),
    ]


def test_a_sweep_of_seeds_shows_means(write_sweep, write_seeds, tmp_path):
    folder = write_seeds(tmp_path / "sweep" / "a=1")
    figures = json.loads((folder / "summary.json").read_text())["spread"]
    one = {"settings": {"o.a": "1"}, "run_dir": "a=1", "figures": figures}
    other = {"settings": {"o.a": "2"}, "run_dir": "gone", "figures": figures}
    content = {"metric": "validation_f1", "runs": [one, other], "best": 0}
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps(content))
    text, headline = search.render(tmp_path / "sweep")
    assert headline[0].value == "0.6500 \u00b1 0.1000"
    assert text.count("<svg") == 1  # the measure by setting
    runs = search.runs_in(tmp_path / "sweep")
    assert [run.path.name for run in runs] == ["seed-3", "seed-4", "seed-5"]


def test_all_points_have_failed(write_run, tmp_path):
    write_run(tmp_path / "a=1", "regression")
    one = {"settings": {"o.a": "1"}, "run_dir": "a=1", "failed": "nan"}
    content = {"metric": None, "runs": [one], "best": None}
    (tmp_path / "sweep.json").write_text(json.dumps(content))
    text, headline = search.render(tmp_path)
    assert "failed" in text and headline[0].note == "1 failed"


def test_runs_that_are_gone(tmp_path):
    one = {"settings": {}, "run_dir": "x/gone", "failed": "nan"}
    (tmp_path / "sweep.json").write_text(json.dumps({"runs": [one]}))
    with pytest.raises(UserError, match="none is there any more"):
        search.render(tmp_path)


def test_the_summary_of_the_demo_is_none_of_seeds(tmp_path):
    (tmp_path / "summary.json").write_text('{"seconds": 3}')
    assert not search.is_search(tmp_path)
