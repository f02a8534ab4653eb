import pytest

from tfbert.config import BertConfig
from trainers.planning.memory_estimate import (
    MemoryEstimate,
    activation_bytes,
    num_parameters,
)

CONFIG = BertConfig.preset("base")


@pytest.mark.parametrize("rows,length", [(1, 128), (8, 512)])
def test_half_precision_is_the_formula_of_the_paper(rows, length):
    """Korthikanti et al. 2022, equation 2: sbh (34 + 5 a s / h) a layer."""
    hidden, heads, layers = 768, 12, 12
    per_layer = length * rows * hidden * (34 + 5 * heads * length / hidden)
    found = activation_bytes(CONFIG, rows, length, 0, element_bytes=2)
    assert found == layers * per_layer


def test_recomputation_keeps_inputs_and_one_block():
    full = activation_bytes(CONFIG, 4, 128, 0, element_bytes=4)
    less = activation_bytes(CONFIG, 4, 128, 0, 4, recompute=True)
    inputs = 12 * 4 * 128 * 768 * 4
    assert less == full / 12 + inputs


def test_predictions_keep_logits():
    without = activation_bytes(CONFIG, 4, 128, 0, 4)
    more = activation_bytes(CONFIG, 4, 128, 20, 4) - without
    assert more == 2 * 4 * 20 * CONFIG.vocab_size * 4


def test_the_total_is_the_sum():
    assert MemoryEstimate(1, 2, 3, 4, 5).total == 15


@pytest.mark.parametrize(
    "changes",
    [{}, {"norm_position": "pre", "position_embedding_type": "sinusoidal"}],
)
def test_the_count_of_parameters_is_that_of_the_model(changes):
    from tfbert.tasks import PretrainingTask

    config = BertConfig.preset("tiny", vocab_size=50, **changes)
    counted = PretrainingTask(config).count_params()
    assert num_parameters(config) == counted
