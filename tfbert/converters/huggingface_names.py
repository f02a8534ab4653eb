"""transformers' names of BERT's tensors, as in its `modeling_bert.py`.

Linear layers keep their kernel as [out, in]; query, key and value are three
of them.
"""

from tfbert.weights.names import (
    THIRDS,
    TRANSPOSED,
    TRANSPOSED_THIRDS,
    Entry,
    Form,
    entry,
)


def _dense(ours: str, theirs: str) -> list[Entry]:
    return [
        entry(f"{ours}/kernel", f"{theirs}.weight", form=TRANSPOSED),
        entry(f"{ours}/bias", f"{theirs}.bias"),
    ]


def _norm(ours: str, theirs: str) -> list[Entry]:
    return [
        entry(f"{ours}/gamma", f"{theirs}.weight"),
        entry(f"{ours}/beta", f"{theirs}.bias"),
    ]


def _joined(part: str, form: Form) -> Entry:
    names = (
        f"bert.encoder.layer.{{i}}.attention.self.{name}.{part}"
        for name in ("query", "key", "value")
    )
    name = {"weight": "kernel", "bias": "bias"}[part]
    ours = f"encoder/block_{{i}}/attention/query_key_value/{name}"
    return entry(ours, *names, form=form)


_LAYER, _BLOCK = "bert.encoder.layer.{i}", "encoder/block_{i}"
_EMBEDDINGS = "encoder/embeddings"
TABLE = [
    entry(
        f"{_EMBEDDINGS}/token_embeddings",
        "bert.embeddings.word_embeddings.weight",
    ),
    entry(
        f"{_EMBEDDINGS}/position_embeddings",
        "bert.embeddings.position_embeddings.weight",
    ),
    entry(
        f"{_EMBEDDINGS}/segment_embeddings",
        "bert.embeddings.token_type_embeddings.weight",
    ),
    *_norm(f"{_EMBEDDINGS}/layer_norm", "bert.embeddings.LayerNorm"),
    _joined("weight", TRANSPOSED_THIRDS),
    _joined("bias", THIRDS),
    *_dense(f"{_BLOCK}/attention/output", f"{_LAYER}.attention.output.dense"),
    *_norm(
        f"{_BLOCK}/attention_layer_norm",
        f"{_LAYER}.attention.output.LayerNorm",
    ),
    *_dense(
        f"{_BLOCK}/feed_forward/intermediate", f"{_LAYER}.intermediate.dense"
    ),
    *_dense(f"{_BLOCK}/feed_forward/output", f"{_LAYER}.output.dense"),
    *_norm(f"{_BLOCK}/feed_forward_layer_norm", f"{_LAYER}.output.LayerNorm"),
    *_dense("encoder/pooler", "bert.pooler.dense"),
    *_dense("masked_lm/transform", "cls.predictions.transform.dense"),
    *_norm("masked_lm/layer_norm", "cls.predictions.transform.LayerNorm"),
    entry("masked_lm/output_bias", "cls.predictions.bias"),
    *_dense("next_sentence/dense", "cls.seq_relationship"),
    *_dense("classifier", "classifier"),
]
ANSWER_TABLE = [
    *[item for item in TABLE if not item.ours.startswith("classifier")],
    *_dense("classifier", "qa_outputs"),
]
