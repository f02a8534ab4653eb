"""What a kind of task refuses before anything is trained."""

import dataclasses

import pytest

from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfrecords.labelled import sentences
from trainers.finetuning.kinds.by_name import find_kind

ONE_SEGMENT = BertConfig.preset(
    "tiny", vocab_size=50, num_hidden_layers=1, type_vocab_size=1
)
ABOUT = {
    "labels": ["a", "b"],
    "label_column": "label",
    "label_separator": ",",
    "max_length": 16,
    "mean": 0.0,
    "scale": 1.0,
}


@pytest.mark.parametrize(
    "kind", ["classification", "multi_label", "regression"]
)
def test_pairs_need_two_segments(kind):
    columns = {"text_columns": ["first", "second"]}
    pairs = find_kind(kind).from_about({**ABOUT, **columns})
    with pytest.raises(UserError, match=f"{kind} of pairs needs segments"):
        pairs.make_task(ONE_SEGMENT)
    single = dataclasses.replace(pairs, text_columns=["text"])
    assert single.make_task(ONE_SEGMENT).config.type_vocab_size == 1


def test_a_predicate_is_marked_by_its_segment():
    columns = ("token_column", "predicate_column", "first_role_column")
    about = {**ABOUT, **dict.fromkeys(columns, 1), "labels": ["O", "B-V"]}
    about |= {"find_predicates": False, "split_words": False}
    kind = find_kind("role_labelling").from_about(about)
    with pytest.raises(UserError, match="type_vocab_size 1"):
        kind.make_task(ONE_SEGMENT)


@pytest.mark.parametrize("score", ["1e39", "-3e18"])
def test_scores_whose_squares_overflow(tmp_path, score):
    path = tmp_path / "scores.tsv"
    path.write_text(f"text\tlabel\na\t1\nb\t{score}\n")
    kind = find_kind("regression").from_about(
        {**ABOUT, "text_columns": ["text"]}
    )
    examples = sentences.read_examples(path, ["text"], "label")
    with pytest.raises(UserError, match="scores.tsv:3: the score .* is beyond"):
        kind.check(examples)
