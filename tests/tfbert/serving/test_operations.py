import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfbert.serving import operations


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


def test_what_is_called_tensorflows_is():
    for name in operations._CORE:
        assert hasattr(tf.raw_ops, name), name
