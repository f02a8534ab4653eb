"""How files of tables are read, as a run remembers it."""

import pytest

from tfbert.errors import UserError
from trainers.finetuning.kinds.regression import Regression
from trainers.finetuning.kinds.token_labelling import TokenLabelling


def test_a_run_remembers_how_its_files_are_read():
    about = {"mean": 0.0, "scale": 1.0, "max_length": 8}
    about |= {"text_columns": ["0"], "label_column": "1"}
    kind = Regression.from_about(about)
    assert (kind.separator, kind.header, kind.bad_rows) == (None, None, "error")
    other = kind.read_as({"header": False, "separator": ";"})
    assert other.reading_of(other).form.separator == ";"
    assert Regression.from_about(other.about()) == other


def test_files_of_words_are_no_tables():
    kind = TokenLabelling(
        ["a", "b"], False, 0, -1, "whitespace", None, False, 8
    )
    with pytest.raises(UserError, match="no tables; leave --header out"):
        kind.read_as({"header": False})
