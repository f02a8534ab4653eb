import pytest

from tfbert.config import BertConfig
from tfbert.optimizers.layer_decay import layer_rate
from tfbert.tasks import PretrainingTask


def test_each_layer_of_a_task_has_its_rate():
    config = BertConfig.preset("tiny", vocab_size=20, num_hidden_layers=2)
    task = PretrainingTask(config, next_sentence=True)
    rates = {v.path: layer_rate(v.path, 2, 0.5) for v in task.weights}
    wanted = {
        "/embeddings/": 0.125,
        "/block_0/": 0.25,
        "/block_1/": 0.5,
        "/pooler/": 1.0,
        "/masked_lm/": 1.0,
        "/next_sentence/": 1.0,
    }
    seen = set()
    for path, rate in rates.items():
        part = next(part for part in wanted if part in f"/{path}")
        assert rate == pytest.approx(wanted[part]), path
        seen.add(part)
    assert seen == set(wanted)
    assert {layer_rate(path, 2, 1.0) for path in rates} == {1.0}
