"""The symbolic batches of a pretraining task."""

import pytest

from tfbert.config import BertConfig
from tfbert.tasks import PretrainingTask


@pytest.fixture(scope="module")
def task():
    return PretrainingTask(
        BertConfig(
            vocab_size=50,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=64,
        )
    )


def test_the_number_of_predictions_is_not_fixed(task):
    signature = task.input_signature(2, sequence_length=64)
    assert signature["masked_lm_positions"].shape == (2, None)
    assert task(signature)["masked_lm_losses"].shape == (2, None)
    signature = task.input_signature(None, 64, 9)
    assert signature["masked_lm_weights"].shape == (None, 9)


def test_packed_signature(task):
    signature = task.input_signature(2, sequence_length=8, packed=True)
    assert signature["sequence_ids"].shape == (2, 8)
    assert set(task(signature)) == {
        "masked_lm_logits",
        "masked_lm_losses",
        "masked_lm_answers",
    }
