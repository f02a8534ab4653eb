"""Whether TF Serving can load a graph, by the operations in it.

The server links TensorFlow's own operations and those of TF.Text. An
operation that it does not know makes it refuse the model, so an export is
checked when it is written. (Releases were looked up in the wheels of
TensorFlow 2.7 to 2.20 and TF.Text 2.7 to 2.20; what a server links is
SUPPORTED_TENSORFLOW_OPS in tensorflow_serving/model_servers/BUILD.)
"""

import os

from tfbert.serving.signatures import read_model

# TensorFlow's, all of them in 2.7 or before.
_CORE = frozenset(
    """
    Abs Add AddV2 All Any ArgMax Assert AssignVariableOp BatchMatMulV2 BiasAdd
    BroadcastTo Cast ConcatV2 Const Cumsum DecodeRaw DenseBincount Einsum
    EnsureShape Equal
    Erf Exp ExpandDims Fill FloorDiv GatherNd GatherV2 Greater GreaterEqual
    Identity IdentityN If Less LessEqual Log LogicalAnd LogicalNot LogicalOr
    LowerBound MatMul Max MaxPool Maximum Mean MergeV2Checkpoints Minimum Mul
    Neg NoOp NotEqual OneHot OnesLike Pack Pad PadV2 ParseExampleV2
    PartitionedCall Placeholder Pow Prod RaggedGather RaggedRange
    RaggedTensorToTensor Range ReadVariableOp RealDiv ReduceJoin Relu Reshape
    RestoreV2 Rsqrt SaveV2 Select SelectV2 Shape ShardedFilename Sigmoid Size
    Softmax Split SplitV Sqrt Square SquaredDifference Squeeze
    StatefulPartitionedCall StatelessIf StatelessWhile StaticRegexFullMatch
    StaticRegexReplace StridedSlice StringJoin StringLength Sub Substr Sum Tanh
    TensorListConcatV2 TensorListGetItem TensorListReserve TensorListSetItem
    TensorListStack Tile TopKV2 Transpose UnicodeDecodeWithOffsets UnicodeEncode
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


def operations(version: str | os.PathLike) -> set[str]:
    """The names of all operations in a SavedModel."""
    graph = read_model(version).meta_graphs[0].graph_def
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
            "look them up and add them to tfbert/serving/operations.py"
        )
    needed = [_SINCE[name] for name in found & _SINCE.keys()]
    return ".".join(map(str, max(needed, default=_OLDEST)))
