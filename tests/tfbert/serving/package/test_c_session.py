"""SavedModels asked through TensorFlow's C API."""

import numpy as np
import pytest
import tensorflow as tf

from tfbert.errors import UserError
from tfbert.serving.package import c_session


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that gives what it is given, and a variable."""
    module = tf.Module()
    module.variable = tf.Variable([[1.5, 2.5]])
    specs = {
        name: tf.TensorSpec([None, None], name, name)
        for name in ("string", "int32", "int64", "float32", "bool")
    }

    @tf.function(input_signature=[specs])
    def echo(given):
        return {f"{name}_back": value for name, value in given.items()}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, "x")])
    def add(x):
        with tf.control_dependencies([tf.debugging.assert_positive(x)]):
            total = tf.cast(x, tf.float32) + module.variable
        return {"total": total, "none": tf.zeros([0], tf.string)}

    folder = tmp_path_factory.mktemp("model")
    signatures = {"echo": echo, "add": add}
    tf.saved_model.save(module, str(folder), signatures)
    return folder


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_values_come_back(model, rows):
    session = c_session.Session(model)
    texts = [b"", b"a\0b", "\u00e9".encode() * 40, b"\xff" * 23]
    given = {
        "string": np.array([texts] * rows, object).reshape(rows, 4),
        "int32": np.arange(-rows, rows, dtype=np.int32).reshape(rows, 2),
        "int64": np.full([rows, 1], 2**40),
        # Not in the order of memory.
        "float32": np.arange(3 * rows, dtype=np.float32).reshape(3, rows).T,
        "bool": np.ones([rows, 2], bool),
    }
    assert session.inputs["echo"] == {
        name: array.dtype for name, array in given.items()
    }
    found = session.run("echo", given)
    assert list(found) == sorted(session.outputs["echo"])
    for name, array in given.items():
        back = found[f"{name}_back"]
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


def test_variables_are_restored(model):
    session = c_session.Session(model)
    found = session.run("add", {"x": np.array(2, np.int32)})
    np.testing.assert_array_equal(found["total"], [[3.5, 4.5]])
    assert found["none"].shape == (0,)


def test_what_the_model_refuses_is_told(model):
    session = c_session.Session(model)
    with pytest.raises(UserError, match="x > 0"):
        session.run("add", {"x": np.array(-2, np.int32)})
    # The next request is answered.
    session.run("add", {"x": np.array(1, np.int32)})


def test_folders_without_a_model(model, tmp_path):
    with pytest.raises(UserError, match="cannot be loaded as a SavedModel"):
        c_session.Session(tmp_path)
    file = (model / "saved_model.pb").read_bytes()
    (tmp_path / "saved_model.pb").write_bytes(file)
    # Without its variables the C library loads it, and cannot run it.
    session = c_session.Session(tmp_path)
    with pytest.raises(UserError, match="ReadVariableOp"):
        session.run("add", {"x": np.array(1, np.int32)})
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be loaded as a SavedModel"):
        c_session.Session(tmp_path)


def test_a_graph_without_the_operation(model):
    session = c_session.Session(model)
    output = next(iter(session._signatures["add"].outputs.values()))
    output.name = "Nothing:0"
    with pytest.raises(UserError, match="no operation Nothing"):
        session.run("add", {"x": np.array(1, np.int32)})


def test_tensorflow_without_its_library(tmp_path):
    with pytest.raises(UserError, match="C library libtensorflow_cc in"):
        c_session._shared(tmp_path, "libtensorflow_cc")
    with pytest.raises(UserError, match="not installed"):
        c_session._folder("tensorflow_of_nobody")


def test_a_function_that_the_library_lacks():
    with pytest.raises(OSError, match="no TF_Nothing"):
        c_session._library()._call("TF_Nothing", None)
