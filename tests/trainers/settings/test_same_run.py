"""Settings that a run began with, and those that it is asked to go on with."""

import dataclasses

import pytest
import yaml

from tfbert.errors import UserError
from trainers.finetuning.settings import (
    FinetuningData,
    FinetuningModel,
    FinetuningOptimization,
    FinetuningRuntime,
    FinetuningSettings,
)
from trainers.settings.same_run import check_same_run


@pytest.mark.parametrize(
    ("saved", "fits"),
    [
        ({"max_length": 128, "separator": "whitespace"}, True),
        ({"max_length": 128}, True),
        ({"max_length": 64}, False),
        ({"separator": "tab"}, False),
    ],
)
def test_what_is_null_now_is_what_it_was_by_default(tmp_path, saved, fits):
    """A run of before goes on by the command that began it."""
    settings = FinetuningSettings(
        task="classification",
        data=FinetuningData(train="a.tsv"),
        model=FinetuningModel(init_from="a"),
        optimization=FinetuningOptimization(),
        runtime=FinetuningRuntime(run_dir=str(tmp_path)),
    )
    content = dataclasses.asdict(settings)
    content["data"] |= saved
    content["optimization"]["group_by_length"] = False
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(content))
    if fits:
        check_same_run(settings, tmp_path)
        return
    with pytest.raises(UserError, match="holds a run with other settings"):
        check_same_run(settings, tmp_path)


def test_a_run_of_an_order_that_is_gone_does_not_go_on(tmp_path):
    settings = FinetuningSettings(
        FinetuningModel(),
        FinetuningData(),
        FinetuningOptimization(),
        FinetuningRuntime(),
    )
    content = dataclasses.asdict(settings)
    content["optimization"]["group_by_length"] = True
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="group_by_length: the run has True"):
        check_same_run(settings, tmp_path)
