"""Numbers that a setting cannot have are refused before anything is read."""

import dataclasses
import sys

import numpy as np
import pytest
import yaml

from tfbert.errors import UserError
from trainers import finetune, pretrain
from trainers.finetuning.settings import FinetuningSettings
from trainers.pretraining.settings import PretrainingSettings
from trainers.settings.ranges import RANGES, Range, check_ranges
from trainers.settings.sections import parse_settings


@pytest.mark.parametrize(
    "given,said",
    [
        ("--optimization.beta_1=-1", "beta_1 from 0 to below 1, got -1.0"),
        ("--optimization.beta_1=1", "beta_1 from 0 to below 1, got 1.0"),
        ("--optimization.beta_2=2", "beta_2 from 0 to below 1, got 2.0"),
        ("--optimization.weight_decay=-1", "weight_decay from 0, got -1.0"),
        ("--optimization.epsilon=0", "epsilon above 0, got 0.0"),
        ("--optimization.learning_rate=.nan", "above 0, got nan"),
        ("--optimization.clip_norm=.inf", "above 0, got inf"),
        ("--runtime.spike.window=1", "spike.window from 8, got 1"),
        ("--runtime.evaluate_every=0", "evaluate_every above 0, got 0"),
        (
            "--optimization.average_decay=1",
            "average_decay above 0 and below 1, got 1.0",
        ),
        ("--model.hidden_dropout_prob=1", "from 0 to below 1, got 1.0"),
    ],
)
@pytest.mark.parametrize("verb", [pretrain, finetune])
def test_numbers_out_of_range(verb, given, said):
    with pytest.raises(UserError) as error:
        verb.main([given])
    assert said in str(error.value)


def test_only_finetuning_has_these():
    for given in (
        "--seeds=0",
        "--optimization.epochs=0",
        "--data.max_length=0",
    ):
        with pytest.raises(UserError, match="above 0, got 0"):
            finetune.main([given])


def test_blanks_and_defaults_pass_and_every_range_is_of_a_setting():
    names = set()
    for verb, kind in (
        (pretrain, PretrainingSettings),
        (finetune, FinetuningSettings),
    ):
        check_ranges(parse_settings(verb.build_parser(), kind, []))
        names |= {action.dest for action in verb.build_parser()._actions}
    assert set(RANGES) <= names


def test_ends_of_a_range():
    whole = Range(0, 1)
    assert 0 in whole and 1 in whole and 1.1 not in whole
    opened = dataclasses.replace(whole, low_open=True, high_open=True)
    assert 0 not in opened and 1 not in opened and 0.5 in opened
    assert str(opened) == "above 0 and below 1" and str(whole) == "from 0 to 1"
    assert sys.float_info.max in Range(0) and float("inf") not in Range(0)


def test_numpy_numbers_are_taken_and_can_be_written():
    settings = parse_settings(pretrain.build_parser(), PretrainingSettings, [])
    settings.optimization.batch_size = np.int64(32)
    settings.optimization.learning_rate = np.float64(1e-3)
    settings.runtime.checkpoint_every = np.int32(7)
    check_ranges(settings)
    text = yaml.safe_dump(dataclasses.asdict(settings))
    assert "batch_size: 32\n" in text and "checkpoint_every: 7\n" in text
    settings.runtime.log_every = np.int64(0)
    with pytest.raises(UserError, match="runtime.log_every above 0, got 0"):
        check_ranges(settings)


def test_a_final_masking_rate_that_leaves_nothing_is_refused():
    message = "final_masking_rate above 0 and up to 0.9, got 0.95"
    with pytest.raises(UserError, match=message):
        pretrain.main(["--data.final_masking_rate=0.95"])
