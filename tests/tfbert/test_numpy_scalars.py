"""Settings take NumPy's numbers, and hold Python's."""

import dataclasses
import json

import numpy as np
import pytest
import yaml

from tfbert.numpy_scalars import replace_in, to_python
from tfbert.serving.graphs.request_bounds import Limits
from tfbert.text.tokenizer import Tokenizer
from tfbert.text.windows.questions import make_windows
from tfbert.vocabulary.learning import VocabularySettings


@pytest.mark.parametrize(
    "given, wanted",
    [
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.float32(0.5), 0.5),
        (np.float64(3.0), 3.0),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (None, None),
        ("a", "a"),
        (True, True),
    ],
)
def test_a_scalar(given, wanted):
    plain = to_python(given)
    assert plain == wanted and type(plain) is type(wanted)


@dataclasses.dataclass(frozen=True)
class Inner:
    size: int = 3


@dataclasses.dataclass
class Outer:
    inner: Inner
    rate: float
    name: str | None = None


def test_a_dataclass_and_what_is_in_it():
    outer = Outer(Inner(np.int64(7)), np.float64(0.25))
    replace_in(outer)
    assert outer == Outer(Inner(7), 0.25)
    assert yaml.safe_load(yaml.safe_dump(dataclasses.asdict(outer))) == {
        "inner": {"size": 7},
        "rate": 0.25,
        "name": None,
    }


@pytest.mark.parametrize(
    "make",
    [
        lambda n: Limits(max_masks=n(9)),
        lambda n: VocabularySettings(n(300), min_frequency=n(3)),
    ],
)
def test_settings_hold_plain_numbers(make):
    assert json.dumps(dataclasses.asdict(make(np.int64))) == json.dumps(
        dataclasses.asdict(make(int))
    )


def test_the_tokenizer_takes_them():
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##b"]
    tokenizer = Tokenizer(tokens)
    for first, second in ((["a b"], None), (["a bb"], ["b"])):
        rows = tokenizer.encode(first, second, max_length=np.int64(5))
        wanted = tokenizer.encode(first, second, max_length=5)
        for name, row in wanted.items():
            assert rows[name].dtype == row.dtype
            np.testing.assert_array_equal(rows[name], row)
    sizes = {"max_length": 8, "window_stride": 2, "max_question_length": 2}
    windows = [
        make_windows(
            tokenizer,
            ["a"],
            ["a b a bb b"],
            **{n: of(v) for n, v in sizes.items()},
        ).batch["input_ids"]
        for of in (np.int64, int)
    ]
    np.testing.assert_array_equal(*windows)
    assert tokenizer.tokens(np.int64(5)) == "a"
    assert tokenizer.tokens([np.int32(5), [np.int64(7)]]) == ["a", ["##b"]]
