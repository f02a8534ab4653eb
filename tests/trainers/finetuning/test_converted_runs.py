"""Fine-tuned runs of each kind, out to Hugging Face and back."""

import dataclasses
import json

import numpy as np
import pytest

from tfbert.config import BertConfig
from tfbert.converters import peers, sources
from tfbert.errors import UserError
from tfbert.file_names import BEST_FILE
from tfbert.text.tokenizer import Tokenizer
from tfbert.weights.variables import save_weights
from trainers import convert
from trainers.checkpoints.best import write_best
from trainers.finetuning.kinds.by_name import find_kind
from trainers.finetuning.saved_run import FinetunedRun

SENTENCE = {"text_columns": ["text"], "label_column": "label"}
ABOUTS = {
    "classification": {"labels": ["no", "yes"], **SENTENCE},
    "multi_label": {
        "labels": ["x", "y", "z"],
        "label_separator": "|",
        **SENTENCE,
    },
    "regression": {"mean": 2.5, "scale": 1.75, **SENTENCE},
    "multiple_choice": {
        "question_column": "question",
        "choice_columns": ["choices"],
        "label_column": "label",
    },
    "question_answering": {
        "window_stride": 8,
        "max_question_length": 8,
        "max_answer_length": 5,
        "answer_unit": "word",
        "skip_misplaced_answers": False,
        "no_answer": False,
    },
    "token_labelling": {
        "labels": ["B-X", "I-X", "O"],
        "has_spans": True,
        "token_column": 0,
        "tag_column": -1,
        "separator": "whitespace",
        "tag_scheme": "IOB2",
        "split_words": False,
    },
}
# transformers has no class for it.
ROLES = {
    "labels": ["O", "B-V", "B-ARG0", "I-ARG0"],
    "token_column": 1,
    "predicate_column": 2,
    "first_role_column": 3,
    "find_predicates": True,
    "split_words": False,
}


def make_run(folder, name, about, vocabulary):
    """A run's folder, and its task with the weights in it."""
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=20,
        initializer_range=0.3,
    )
    task = find_kind(name).from_about(about).make_task(config, "float32")
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(about))
    config.to_json(folder / "config.json")
    Tokenizer(vocabulary).save(folder)
    save_weights(task, folder / "model.safetensors")
    return task


@pytest.mark.parametrize("name", [*ABOUTS, "role_labelling"])
def test_a_copy_is_the_run_that_it_was(name, vocabulary, tmp_path):
    """Head, columns and all: what is evaluated and exported is the same."""
    facts = {**ABOUTS, "role_labelling": ROLES}[name]
    about = {"kind": name, "max_length": 13, **facts}
    task = make_run(tmp_path / "run", name, about, vocabulary)
    convert.convert(str(tmp_path / "run"), str(tmp_path / "copy"), "tfbert")
    run, copy = FinetunedRun(tmp_path / "run"), FinetunedRun(tmp_path / "copy")
    unit = {"mean": 0.0, "scale": 1.0} if name == "regression" else {}
    assert copy.kind == dataclasses.replace(run.kind, **unit)
    again = copy.load_task().task
    for variable, other in zip(task.weights, again.weights, strict=True):
        if name != "regression":
            np.testing.assert_array_equal(variable, other)
    # Once more, now without a unit to fold in: the same bytes.
    convert.convert(str(tmp_path / "copy"), str(tmp_path / "2"), "tfbert")
    weights = [tmp_path / x / "model.safetensors" for x in ("copy", "2")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_what_validation_chose_is_kept(vocabulary, tmp_path):
    name = "question_answering"
    about = {"kind": name, "max_length": 16, **ABOUTS[name], "no_answer": True}
    task = make_run(tmp_path / "run", name, about, vocabulary)
    figures = {"f1": 0.5, "no_answer_threshold": -1.25}
    write_best(tmp_path / "run" / BEST_FILE, task, 7, figures)
    convert.convert(str(tmp_path / "run"), str(tmp_path / "copy"), "tfbert")
    copy = FinetunedRun(tmp_path / "copy")
    assert copy.kind == FinetunedRun(tmp_path / "run").kind
    assert copy.kind.no_answer_threshold == -1.25


def test_roles_have_no_place_elsewhere(vocabulary, tmp_path):
    about = {"kind": "role_labelling", "max_length": 16, **ROLES}
    make_run(tmp_path / "run", "role_labelling", about, vocabulary)
    for to in ("huggingface", "google", "keras_hub"):
        with pytest.raises(UserError, match="no .* for role_labelling; leave"):
            convert.convert(str(tmp_path / "run"), str(tmp_path / to), to)
    bare = convert.convert(
        str(tmp_path / "run"), str(tmp_path / "hf"), "huggingface", True
    )
    assert bare["task"] == "encoder"


def test_attention_over_windows_has_no_place_elsewhere(vocabulary, tmp_path):
    """And its encoder is what another run can begin with."""
    windows = {"window_overlap": 2, "max_windows": 9, "long_texts": "windows"}
    about = {
        "kind": "classification",
        "max_length": 16,
        **ABOUTS["classification"],
        **windows,
        "window_pooling": "attention",
    }
    run = str(tmp_path / "run")
    task = make_run(tmp_path / "run", "classification", about, vocabulary)
    for to in ("tfbert", "huggingface"):
        with pytest.raises(UserError, match="attention.*--encoder_only"):
            convert.convert(run, str(tmp_path / to), to)
    bare = convert.convert(run, str(tmp_path / "hf"), "huggingface", True)
    assert bare["task"] == "encoder"
    table = sources.read(run).tensors["encoder/embeddings/token_embeddings"]
    np.testing.assert_array_equal(
        table, task.encoder.embeddings.token_embeddings
    )
    about["window_pooling"] = "mean_logits"
    make_run(tmp_path / "mean", "classification", about, vocabulary)
    written = convert.convert(
        str(tmp_path / "mean"), str(tmp_path / "mean_hf"), "huggingface"
    )
    assert any("in windows (mean_logits" in n for n in written["notes"])


@pytest.mark.parametrize("name", ABOUTS)
def test_heads_go_out_and_come_back(name, vocabulary, tmp_path):
    about = {"kind": name, "max_length": 16, **ABOUTS[name]}
    run = tmp_path / "run"
    task = make_run(run, name, about, vocabulary)
    config = BertConfig.from_json(run / "config.json")
    model = sources.read(run)
    assert model.task == name
    sources.write(model, "huggingface", tmp_path / "hf")
    foreign = sources.read(tmp_path / "hf")
    sources.write(foreign, "tfbert", tmp_path / "back")
    back = FinetunedRun(tmp_path / "back")
    assert back.kind.name == name
    if "labels" in about:
        assert back.kind.labels == about["labels"]
    batch = peers.example_batch(model)
    again = back.load_task().task
    # [B, K, S] for choices.
    if name == "multiple_choice":
        batch = {key: value[None] for key, value in batch.items()}
        batch["choice_mask"] = np.ones((1, 3), np.int32)
    elif name in ("question_answering", "token_labelling"):
        # Heads of these classes have no pooler; it is new, and unread.
        assert "pooler" not in foreign.parts
    for key, value in task(batch).items():
        np.testing.assert_allclose(
            again(batch)[key], value, atol=1e-5, err_msg=key
        )
    sources.write(
        sources.read(tmp_path / "back"), "huggingface", tmp_path / "2"
    )
    assert (tmp_path / "2/model.safetensors").read_bytes() == (
        tmp_path / "hf/model.safetensors"
    ).read_bytes()
    assert dataclasses.replace(foreign.config) == config
