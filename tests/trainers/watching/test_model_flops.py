import keras
import pytest

from tfbert.config import BertConfig
from tfbert.tasks import PretrainingTask
from trainers.watching.model_flops import flops_per_masked_token, step_flops


@pytest.mark.parametrize("length", [8, 64])
def test_the_formula_counts_what_a_trace_of_the_model_multiplies(length):
    """TensorFlow's profiler counts the matrix products of the forward pass."""
    import tensorflow as tf

    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    rows, predictions = 2, 3
    task = PretrainingTask(config)
    batch = {
        name: tf.zeros(spec.shape, spec.dtype)
        for name, spec in task.input_signature(
            rows, length, predictions
        ).items()
    }
    batch.pop("masked_lm_ids")

    @tf.function
    def forward():
        return task(batch)["masked_lm_logits"]

    # Looking up embeddings is left out by the formula, and nothing reads the
    # pooler without next sentences.
    counted, left_out = 0, ("embeddings", "pooler")
    for operation in forward.get_concrete_function().graph.get_operations():
        product = operation.type in ("MatMul", "BatchMatMulV2", "Einsum")
        if product and not any(n in operation.name for n in left_out):
            counted += product_flops(operation)
    assert counted == step_flops(config, rows, length, predictions) / 3
    keras.backend.clear_session()


def product_flops(operation) -> int:
    """2 x rows x columns x the length that is summed over."""
    left, right = (tensor.shape for tensor in operation.inputs)
    out = operation.outputs[0].shape
    if operation.type == "Einsum":
        letters = operation.get_attr("equation").decode()
        inputs, result = letters.split("->")
        sizes = {}
        for names, shape in zip(inputs.split(","), (left, right), strict=True):
            sizes |= dict(zip(names, shape, strict=True))
        summed = [sizes[name] for name in sizes if name not in result]
    else:
        attribute = "adj_x" if operation.type[0] == "B" else "transpose_a"
        summed = [left[-2] if operation.get_attr(attribute) else left[-1]]
    total = 2 * out.num_elements()
    for size in summed:
        total *= size
    return total


def test_base_at_512_is_the_usual_figure():
    """6 N T + 12 L H S T of Chowdhery et al. 2022, appendix B."""
    config = BertConfig.preset("base")
    matrices = 12 * (4 * 768**2 + 2 * 768 * 3072)
    wanted = 6 * matrices + 12 * 12 * 768 * 512
    assert step_flops(config, 1, 512, 0) == 512 * wanted
    head = 768 * 768 + 768 * config.vocab_size
    assert flops_per_masked_token(config) == 6 * head
