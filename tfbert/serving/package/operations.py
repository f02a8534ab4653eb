"""Whether TF Serving can load a graph, by the operations in it.

The server links TensorFlow's own operations and those of TF.Text. An
operation that it does not know makes it refuse the model, so an export is
checked when it is written. (Releases were looked up in the wheels of
TensorFlow 2.7 to 2.20 and TF.Text 2.7 to 2.20; what a server links is
SUPPORTED_TENSORFLOW_OPS in tensorflow_serving/model_servers/BUILD.)
"""

import os
from collections.abc import Iterator
from typing import Any

from tfbert.errors import UserError
from tfbert.serving.package.graph_file import read_graph_file

# TensorFlow's, all of them in 2.7 or before.
_CORE = frozenset(
    """
    Abs Add AddV2 All Any ArgMax Assert AssignVariableOp BatchMatMulV2 BiasAdd
    BroadcastTo Cast ConcatV2 Const Cumsum DecodeRaw DenseBincount Einsum
    EnsureShape Equal Erf Exp ExpandDims Fill FloorDiv GatherNd GatherV2
    Greater GreaterEqual Identity IdentityN If InvertPermutation Less LessEqual
    Log LogicalAnd LogicalNot LogicalOr LowerBound MatMul MatrixDiagV3 Max
    MaxPool Maximum Mean MergeV2Checkpoints Minimum Mul Neg NoOp NotEqual
    OneHot OnesLike Pack Pad PadV2 ParseExampleV2 PartitionedCall Placeholder
    Pow Prod RaggedGather RaggedRange RaggedTensorToTensor Range ReadVariableOp
    RealDiv ReduceJoin Relu Reshape RestoreV2 Rsqrt SaveV2 Select SelectV2
    Shape ShardedFilename Sigmoid Size Softmax Split SplitV Sqrt Square
    SquaredDifference Squeeze StatefulPartitionedCall StatelessIf
    StatelessWhile StaticRegexFullMatch StaticRegexReplace StridedSlice
    StringJoin StringLength Sub Substr Sum Tanh TensorListConcatV2
    TensorListGetItem TensorListReserve TensorListSetItem TensorListStack Tile
    TopKV2 Transpose UnicodeDecode UnicodeDecodeWithOffsets UnicodeEncode
    UnicodeTranscode Unpack UnsortedSegmentMax UnsortedSegmentMin
    UnsortedSegmentSum VarHandleOp VarIsInitializedOp Where While ZerosLike
    """.split()
)

# Later ones: the TF Serving release from which on a server knows them. TF.Text
# is in the server as release 2.12 from Serving 2.14 on, and has had both
# operations since then.
_SINCE = {
    "DisableCopyOnRead": (2, 10),
    "FastBertNormalize": (2, 14),
    "FastWordpieceTokenizeWithOffsets": (2, 14),
}
_OLDEST = (2, 7)

# They read and write files: only what saves and restores the variables may
# have them.
_FILES = frozenset(("MergeV2Checkpoints", "RestoreV2", "SaveV2"))


def operations(version: str | os.PathLike) -> set[str]:
    """The names of all operations in a SavedModel."""
    graph = read_graph_file(version).meta_graphs[0].graph_def
    nodes = [*graph.node]
    for function in graph.library.function:
        nodes += function.node_def
    functions = {f.signature.name for f in graph.library.function}
    return {node.op for node in nodes} - functions


def lowest_server(version: str | os.PathLike) -> str:
    """The lowest TF Serving release that can load a SavedModel: "2.14".

    Raises:
      ValueError: it has operations of which it is not known that a server
        links them.
    """
    found = operations(version)
    unknown = sorted(found - _CORE - _SINCE.keys())
    if unknown:
        raise ValueError(
            f"{version}: wanted operations that TF Serving is known to link, "
            f"got also {', '.join(unknown)}; write the graph without them, or "
            "look them up and add them to tfbert/serving/package/operations.py"
        )
    needed = [_SINCE[name] for name in found & _SINCE.keys()]
    return ".".join(map(str, max(needed, default=_OLDEST)))


def check_only_computes(version: str | os.PathLike) -> None:
    """Refuses a SavedModel whose graph may do more than compute.

    A graph is a program: with `ReadFile` and `WriteFile` it reads and writes
    whatever its user may. Only operations that exports have are taken, and
    those of files only where they save and restore the variables. Nothing of
    the model is run.

    Raises:
      UserError: there are others; or the file is none of a SavedModel.
    """
    try:
        model = read_graph_file(version)
    # Of a damaged file protobuf's DecodeError, which has no base in Python.
    except Exception as error:
        raise UserError(
            f"{version}: cannot be loaded as a SavedModel: {error}"
        ) from error
    found = set()
    for meta in model.meta_graphs:
        found |= _foreign(meta)
    if found:
        raise UserError(
            f"{version}: the graph holds operations that no export of tfbert "
            f"has: {', '.join(sorted(found))}. They may do more than compute, "
            "such as read and write files, so it is not loaded. Export the "
            "run again; if you trust the model, load it with "
            "tf.saved_model.load."
        )


def _foreign(meta: Any) -> set[str]:
    """Operations that are not those of an export, or not in their place."""
    graph = meta.graph_def
    callers = {
        meta.saver_def.save_tensor_name.split(":")[0],
        meta.saver_def.restore_op_name,
    }
    savers = {
        node.attr["f"].func.name for node in graph.node if node.name in callers
    }
    # Python runs the functions that are named here.
    savers -= meta.object_graph_def.concrete_functions.keys()
    nodes = [node for node in graph.node if node.name not in callers]
    within = []
    for function in graph.library.function:
        is_saver = function.signature.name in savers
        (within if is_saver else nodes).extend(function.node_def)
    known = _CORE | _SINCE.keys()
    known |= {f.signature.name for f in graph.library.function}
    found = {node.op for node in nodes} - (known - _FILES - savers)
    found |= {node.op for node in within} - known
    called = {name for node in nodes for name in _functions(node)}
    return found | (called & savers)


def _functions(node: Any) -> Iterator[str]:
    """The functions that a node's attributes name."""
    for value in node.attr.values():
        yield value.func.name
        for function in value.list.func:
            yield function.name
