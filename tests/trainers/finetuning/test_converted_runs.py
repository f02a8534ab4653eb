"""Fine-tuned runs of each kind, out to Hugging Face and back."""

import dataclasses
import json

import numpy as np
import pytest

from tfbert.config import BertConfig
from tfbert.converters import peers, sources
from tfbert.tokenization import Tokenizer
from tfbert.weights import save_weights
from trainers.finetuning.kinds import find_kind
from trainers.finetuning.run import FinetunedRun

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


@pytest.mark.parametrize("name", ABOUTS)
def test_heads_go_out_and_come_back(name, vocabulary, tmp_path):
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=20,
        initializer_range=0.3,
    )
    about = {"kind": name, "max_length": 16, **ABOUTS[name]}
    task = find_kind(name).from_about(about).make_task(config, "float32")
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps(about))
    config.to_json(run / "config.json")
    Tokenizer(vocabulary).save(run)
    save_weights(task, run / "model.safetensors")
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
