"""Misspelt settings: refused, with the nearest one that exists."""

import pytest

from tfbert.errors import UserError
from trainers import pretrain


@pytest.mark.parametrize(
    "written,meant",
    [
        # The beginning of a name is not taken for the name.
        ("optimization.learning_rat", "optimization.learning_rate"),
        ("optimization.learnig_rate", "optimization.learning_rate"),
        ("model.hiden_size", "model.hidden_size"),
        ("batch_size", "optimization.batch_size"),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_nearest(written, meant):
    with pytest.raises(UserError, match=f"nearest setting .* is '{meant}'"):
        pretrain.build_parser().parse_args([f"--{written}", "3"])
