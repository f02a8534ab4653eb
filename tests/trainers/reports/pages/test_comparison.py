import pytest

from tfbert.errors import UserError
from trainers import report
from trainers.files.run_folder import RunFolder
from trainers.reports.pages import comparison


def test_runs_lie_over_one_another(write_run, tmp_path, monkeypatch, capsys):
    runs = [
        write_run(tmp_path / name, "regression", offset, rate)
        for name, offset, rate in (("slow", 0.0, 1e-5), ("fast", 0.1, 3e-4))
    ]
    monkeypatch.chdir(tmp_path)
    report.main([str(run) for run in runs])
    assert capsys.readouterr().out == "Report: comparison.html\n"
    page = (tmp_path / "comparison.html").read_text()
    for word in (
        "2 runs compared",
        "Pearson correlation on validation data",
        "optimization.learning_rate",
        "1e-05",
        "0.0003",
        "Training loss",
    ):
        assert word in page, word
    # What is alike is no difference, nor is where a run lies.
    assert "clip_norm" not in page and "runtime.run_dir" not in page
    # Both runs are in the legend of each plot.
    plots = page.count("<svg")
    assert plots == 6 and page.count(">slow</text>") == plots
    assert page.count(">fast</text>") == plots


def test_folders_of_seeds_stand_for_their_runs(
    write_run, write_seeds, tmp_path
):
    one = write_run(tmp_path / "one", "token_labelling")
    many = write_seeds(tmp_path / "many")
    path = report.write_report([one, many], tmp_path / "page.html")
    assert "4 runs compared" in path.read_text()


def test_names_are_as_long_as_it_takes(tmp_path):
    paths = [tmp_path / "a/run", tmp_path / "b/run"]
    assert comparison.names_of(paths) == ["a/run", "b/run"]
    paths = [tmp_path / "a", tmp_path / "b"]
    assert comparison.names_of(paths) == ["a", "b"]
    with pytest.raises(UserError, match="got .*/a twice"):
        comparison.names_of([paths[0], tmp_path / "b/../a"])


def test_all_alike(write_run, tmp_path):
    runs = [
        RunFolder(write_run(tmp_path / name, "multi_label")) for name in "ab"
    ]
    assert "all settings are the same" in comparison.render(runs)


def test_more_runs_than_looks(write_run, tmp_path):
    runs = [
        RunFolder(write_run(tmp_path / str(i), "multiple_choice"))
        for i in range(8)
    ]
    page = comparison.render(runs)
    assert "The first 6 of 8 runs are drawn" in page
    assert page.count("<th scope=col>7</th>") == 1
