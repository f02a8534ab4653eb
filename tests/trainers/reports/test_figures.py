import json

import pytest

from trainers.files.run_folder import RunFolder
from trainers.reports import curves, figures, tables


@pytest.mark.parametrize(
    ("kind", "first", "value"),
    [
        ("classification", "Accuracy", "81.0%"),
        ("multi_label", "Micro F1", "0.7000"),
        ("regression", "Pearson correlation", "0.8300"),
        ("multiple_choice", "Accuracy", "50.0%"),
        ("question_answering", "F1", "0.6000"),
        ("token_labelling", "Span F1", "0.0000"),
        ("role_labelling", "Argument F1", "0.6000"),
    ],
)
def test_the_measure_of_the_task_is_the_headline(
    write_run, tmp_path, kind, first, value
):
    run = RunFolder(write_run(tmp_path / "run", kind))
    found = figures.headline(run)
    assert (found[0].label, found[0].value) == (f"{first} on test", value)
    assert [figure.main for figure in found].count(True) == found[0].main == 1
    labels = [figure.label for figure in found]
    assert f"{first} on validation data" in labels
    assert labels.index("Loss on validation data") > labels.index(
        f"{first} on validation data"
    )
    # The first curve, too.
    assert curves.plots_of(run)[0].title == first


def test_pretraining_is_judged_by_held_out_loss(write_run, tmp_path):
    run = RunFolder(write_run(tmp_path / "run", "pretraining"))
    loss, accuracy = figures.headline(run)[:2]
    assert (loss.label, loss.value) == ("Loss on held-out data", "0.1200")
    assert accuracy.label == "Masked-LM accuracy on held-out data"
    plots = curves.plots_of(run)
    assert plots[0].title == "Loss"
    assert plots[0].y_label == "nats per prediction"


def test_the_best_evaluation_counts_where_best_weights_are_kept(tmp_path):
    (tmp_path / "run.json").write_text('{"kind": "token_labelling"}')
    rows = [
        {"step": s, "split": "validation", "loss": x, "f1": f}
        # That of step 0 are never kept.
        for s, x, f in (
            *((0, 0.9, 0.5), (10, 0.5, 0.1), (20, 0.7, 0.4), (30, 0.6, 0.3)),
        )
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "metrics.jsonl").write_text(text)
    f1, loss, *_ = figures.headline(RunFolder(tmp_path))
    assert f1.value == "0.4000"
    assert f1.note == "best, at step 20; last 0.3000 at 30"
    # The loss of the same weights.
    assert loss.value == "0.7000"


def test_the_settings_of_other_tasks_are_folded(write_run, tmp_path):
    run = RunFolder(write_run(tmp_path / "run", "question_answering"))
    page = tables.settings(run)
    own, others = page.split("<details")
    assert "data/a_long_folder_name" in own and "max_length" in own
    assert "predicate_column" in others and "predicate_column" not in own
    assert "text_columns" in others
    # The task, then its data, before model, optimization and runtime.
    heads = ("<h3>task<", "<h3>data<", "<h3>optimization<", "<h3>runtime<")
    places = [own.index(head) for head in heads]
    assert places == sorted(places)


def test_figures_of_an_evaluation_have_titles_and_few_digits(
    write_run, tmp_path
):
    page = tables.evaluations(
        RunFolder(write_run(tmp_path / "run", "regression"))
    )
    assert "Mean squared error" in page and "1.2346" in page
    assert "1.23456" not in page and "On test" in page
