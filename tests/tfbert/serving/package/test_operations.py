import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfbert.errors import UserError
from tfbert.serving.package import operations, signatures


def write(folder, *names):
    """A SavedModel whose graph and one function have these operations."""
    model = saved_model_pb2.SavedModel()
    graph = model.meta_graphs.add().graph_def
    function = graph.library.function.add()
    function.signature.name = "inner"
    graph.node.add(name="call", op="inner")
    for index, name in enumerate(names):
        function.node_def.add(name=f"node_{index}", op=name)
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    return folder


def test_the_server_is_as_new_as_the_newest_operation(tmp_path):
    assert operations.operations(write(tmp_path, "MatMul")) == {"MatMul"}
    assert operations.lowest_server(tmp_path) == "2.7"
    write(tmp_path, "MatMul", "DisableCopyOnRead")
    assert operations.lowest_server(tmp_path) == "2.10"
    write(tmp_path, "DisableCopyOnRead", "FastBertNormalize")
    assert operations.lowest_server(tmp_path) == "2.14"


def test_an_operation_that_no_server_links_is_named(tmp_path):
    write(tmp_path, "MatMul", "EagerPyFunc", "XlaCallModule")
    with pytest.raises(ValueError, match="got also EagerPyFunc, XlaCallModule"):
        operations.lowest_server(tmp_path)


def save(folder, function, **more):
    module = tf.Module()
    module.variable = tf.Variable(1.0)
    for name, value in more.items():
        setattr(module, name, value)
    tf.saved_model.save(module, folder, function)
    return folder


TEXTS = tf.TensorSpec([None], tf.string)


@tf.function(input_signature=[TEXTS])
def harmless(text):
    return {"length": tf.strings.length(text)}


@tf.function(input_signature=[TEXTS])
def reads(text):
    return {"text": tf.io.read_file(text[0])}


@tf.function(input_signature=[TEXTS])
def writes(text):
    tf.raw_ops.SaveV2(
        prefix=text[0], tensor_names=text, shape_and_slices=[""], tensors=[1.0]
    )
    return {"text": text}


def test_a_graph_that_only_computes_is_taken(tmp_path):
    check = operations.check_only_computes
    assert check(save(tmp_path / "harmless", harmless)) is None
    # A file of one's own, not for harm: what matters is that it is refused.
    for function, name in ((reads, "ReadFile"), (writes, "SaveV2")):
        folder = save(tmp_path / name, function)
        with pytest.raises(UserError, match=f"export of tfbert has: {name}"):
            check(folder)
    # Within a function that is not a signature.
    with pytest.raises(UserError, match="ReadFile"):
        check(save(tmp_path / "hidden", harmless, more=reads))


def test_what_saves_the_variables_is_nobodys_to_call(tmp_path):
    save(tmp_path, harmless)
    model = signatures.read_model(tmp_path)
    [graph] = model.meta_graphs
    names = [f.signature.name for f in graph.graph_def.library.function]
    [saver] = [name for name in names if "traced_save" in name]
    for change in (
        lambda g: g.graph_def.node.add(name="call", op=saver),
        lambda g: setattr(
            g.graph_def.node.add(name="x", op="NoOp").attr["f"].func,
            "name",
            saver,
        ),
        lambda g: g.object_graph_def.concrete_functions[saver].SetInParent(),
    ):
        changed = saved_model_pb2.SavedModel.FromString(
            model.SerializeToString()
        )
        change(changed.meta_graphs[0])
        (tmp_path / "saved_model.pb").write_bytes(changed.SerializeToString())
        with pytest.raises(UserError, match="export of tfbert has"):
            operations.check_only_computes(tmp_path)


def test_a_damaged_saved_model_is_named(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"cake")
    with pytest.raises(UserError, match="cannot be loaded as a SavedModel"):
        operations.check_only_computes(tmp_path)


def test_what_is_called_tensorflows_is():
    for name in operations._CORE:
        assert hasattr(tf.raw_ops, name), name
