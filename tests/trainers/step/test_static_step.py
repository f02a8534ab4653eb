"""What a TPU asks of the step: one XLA program, static, without the host."""

import re

import pytest
import tensorflow as tf
from step_cases import CONFIG, batches, make_data, make_model, weights_of

import tfbert

DROPOUT = tfbert.BertConfig(**{**CONFIG.to_dict(), "hidden_dropout_prob": 0.1})
# Ops that leave the device or depend on values for their shape.
HOST_OPS = re.compile(
    "PyFunc|Print|Iterator|Summary|ReadFile|WriteFile|String|HashTable|Lookup|"
    "Assert$|^Where$|^Unique|BooleanMask|^Infeed|^Outfeed"
)


@pytest.fixture(scope="module")
def program():
    """(model, compiled train_step, one batch)."""
    model = make_model(
        config=DROPOUT,
        average_decay=0.9,
        dtype="mixed_bfloat16",
    )
    step = tf.function(model.train_step, jit_compile=True, autograph=False)
    return model, step, next(iter(batches(model, make_data(steps=1))))


@pytest.mark.long
def test_forward_backward_clip_and_update_are_one_program(program):
    model, step, batch = program
    before = weights_of(model)
    logs = step(batch)
    assert float(logs["skipped"]) == 0.0
    assert float(logs["gradient_norm"]) > 0.5  # More than clip_norm.
    assert abs(weights_of(model) - before).max() > 1e-4
    assert int(model.optimizer.iterations) == 1


def test_shapes_are_static_ids_are_int32_and_no_op_needs_the_host(program):
    _, step, batch = program
    for name, value in batch.items():
        assert value.shape.is_fully_defined(), name
        assert value.dtype in (tf.int32, tf.float32), name
    concrete = step.get_concrete_function(batch)
    operations = list(concrete.graph.get_operations())
    for function in concrete.graph._functions.values():
        operations += getattr(
            function, "graph", concrete.graph
        ).get_operations()
    assert len(operations) > 500
    assert not [op.name for op in operations if HOST_OPS.search(op.type)]
    lowered = step.experimental_get_compiler_ir(batch)(stage="hlo")
    # Dynamic dimensions look like [<=8]; these talk to the host.
    assert not re.search(r"\[[^]]*<=", lowered)
    assert not re.search(r" (infeed|outfeed|send|recv)\(", lowered)
    # 64-bit integers are slow there: nothing comes in or is looked up by one.
    for line in lowered.splitlines():
        if re.search(r" (parameter|gather|scatter|dynamic-slice)\(", line):
            assert not re.search(r"[su]64\[\d", line), line
