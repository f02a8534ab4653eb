import math

import pytest

from trainers.finetuning.kinds.by_name import KINDS, find_kind
from trainers.reports import measures


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_judged_by_one_of_its_own_measures(kind):
    known = set(find_kind(kind).metrics)
    assert set(measures.MEASURES[kind]) <= known | {"accuracy"}
    assert measures.MEASURES[kind][0] in known


def test_the_measure_of_the_task_is_first():
    known = ["accuracy", "loss", "f1", "macro_f1"]
    names = measures.measures_of("token_labelling", known)
    assert names == ["f1", "accuracy"]
    assert measures.measures_of("token_labelling", ["accuracy"]) == ["accuracy"]
    names = measures.measures_of("classification", known, chosen="macro_f1")
    assert names == ["macro_f1", "accuracy"]
    assert measures.measures_of("", known) == ["accuracy"]
    assert measures.measures_of("new", ["x"]) == []


def test_names_for_people():
    assert measures.title_of("f1", "token_labelling") == "Span F1"
    assert measures.title_of("f1", "question_answering") == "F1"
    assert measures.title_of("some_thing") == "Some thing"
    assert measures.title_of_kind("token_labelling") == "Labels of words"
    assert measures.title_of_kind("") == ""
    assert "nats" not in measures.unit_of_loss("regression")


def test_the_best_row_is_the_first_with_the_best_finite_value():
    rows = [{"loss": v, "f1": v} for v in (3, 1, None, math.nan, 1, 2)]
    assert measures.best_row(rows, "loss") is rows[1]
    assert measures.best_row(rows, "f1") is rows[0]
    assert measures.best_row(rows, "other") is None
