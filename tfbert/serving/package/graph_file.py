"""What is in saved_model.pb, read without TensorFlow.

TensorFlow's own classes of these messages come with an import of seconds. The
fields that are read here are declared again, by the numbers of tensorflow's
core/protobuf (saved_model, meta_graph, saver, saved_object_graph) and
core/framework (graph, node_def, function, attr_value); others are skipped.
"""

import functools
import os
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# Message -> its fields: name, number, type; of types "*" stands for repeated,
# "{}" for a map from strings.
_MESSAGES = {
    "SavedModel": [("meta_graphs", 2, "*MetaGraphDef")],
    "MetaGraphDef": [
        ("graph_def", 2, "GraphDef"),
        ("saver_def", 3, "SaverDef"),
        ("signature_def", 5, "{}SignatureDef"),
        ("object_graph_def", 7, "ObjectGraph"),
    ],
    "SaverDef": [
        ("save_tensor_name", 2, "string"),
        ("restore_op_name", 3, "string"),
    ],
    "ObjectGraph": [("concrete_functions", 2, "{}Nothing")],
    "Nothing": [],
    "SignatureDef": [
        ("inputs", 1, "{}TensorInfo"),
        ("outputs", 2, "{}TensorInfo"),
    ],
    "TensorInfo": [("name", 1, "string"), ("dtype", 2, "int32")],
    "GraphDef": [("node", 1, "*NodeDef"), ("library", 2, "Library")],
    "Library": [("function", 1, "*FunctionDef")],
    "FunctionDef": [("signature", 1, "OpDef"), ("node_def", 3, "*NodeDef")],
    "OpDef": [("name", 1, "string")],
    "NodeDef": [
        ("name", 1, "string"),
        ("op", 2, "string"),
        ("attr", 5, "{}AttrValue"),
    ],
    "AttrValue": [("list", 1, "AttrList"), ("func", 10, "NameAttrList")],
    "AttrList": [("func", 9, "*NameAttrList")],
    "NameAttrList": [("name", 1, "string")],
}
_PACKAGE = "tfbert_graph_file"
_FIELD = descriptor_pb2.FieldDescriptorProto


def read_graph_file(version: str | os.PathLike) -> Any:
    """The graph of a SavedModel as it lies on the disk.

    Args:
      version: folder of the SavedModel.

    Returns:
      a message with the fields of tensorflow's SavedModel that are listed
      above.

    Raises:
      OSError: there is no file saved_model.pb.
      google.protobuf.message.DecodeError: it is damaged.
    """
    model = _message_class("SavedModel")()
    model.ParseFromString((Path(version) / "saved_model.pb").read_bytes())
    return model


@functools.cache
def _message_class(name: str) -> type:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3"
    )
    for message, fields in _MESSAGES.items():
        declared = file.message_type.add(name=message)
        for field in fields:
            _declare(declared, *field)
    # A pool of its own: TensorFlow's messages may be in the process too.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
    return message_factory.GetMessageClass(found)


def _declare(message, name: str, number: int, kind: str) -> None:
    """Adds a field to the declaration of a message."""
    base = kind.lstrip("*{}")
    label = _FIELD.LABEL_OPTIONAL if base == kind else _FIELD.LABEL_REPEATED
    if kind.startswith("{}"):
        title = name.title().replace("_", "") + "Entry"
        entry = message.nested_type.add(name=title)
        entry.options.map_entry = True
        _declare(entry, "key", 1, "string")
        _declare(entry, "value", 2, base)
        base = f"{message.name}.{title}"
    field = message.field.add(name=name, number=number, label=label)
    if base in ("string", "int32"):
        field.type = getattr(_FIELD, f"TYPE_{base.upper()}")
    else:
        field.type = _FIELD.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{base}"
