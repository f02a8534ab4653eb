"""The README.md and the model card of a version, filled in."""

import json
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from tfbert.serving.package.server_files import BATCHING_FILE, MODELS_FILE
from tfbert.serving.package.signatures import Inputs

# What the options of `tfbert predict` are called, by the input's place.
_OPTIONS = {
    "text_b": "--text_b",
    "context": "--context",
    "choices": "--choice",
}


def readme(
    version: Path,
    card: Mapping[str, object],
    signatures: Mapping[str, Inputs],
    outputs: Mapping[str, Inputs],
) -> str:
    """How to serve a version and ask it, with its own names filled in.

    Args:
      version: its folder, under its final name.
      card: the facts of model.json.
      signatures: of `read_signatures`.
      outputs: of `read_outputs`.
    """
    version = version.resolve()
    name, folder = version.parent.name, version.parent
    asked = signatures.get("serving_default", {})
    row = {key: _sample(key, asked.get(key)) for key in card["inputs"]}
    column = {key: [value] for key, value in row.items()}
    only = next(iter(row.values()))
    facts = [
        f"- {key}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in card.items()
    ]
    return _README.format(
        name=name,
        folder=folder,
        version=version,
        facts="\n".join(facts),
        signatures="\n".join(_table(signatures, outputs)),
        lowest=card["lowest_tf_serving"],
        batching=BATCHING_FILE,
        models=MODELS_FILE,
        rows=json.dumps({"instances": [only if len(row) == 1 else row]}),
        columns=json.dumps(
            {"inputs": column if len(row) > 1 else column[card["inputs"][0]]}
        ),
        words=" ".join(_arguments(row)),
        tensors=", ".join(
            f"{key}=tf.constant({value!r})" for key, value in column.items()
        ),
        protos="\n    ".join(
            f"request.inputs[{key!r}].CopyFrom(tf.make_tensor_proto({value!r}))"
            for key, value in column.items()
        ),
    )


def model_card(
    name: str, card: Mapping[str, object], about: Mapping[str, object]
) -> str:
    """What the model is, learnt from, reached, and is not good for.

    Args:
      name: the model's.
      card: the facts of model.json.
      about: heading -> facts by name, or a text; of the run.
    """
    parts = [_CARD_HEAD.format(name=name, kind=card.get("kind", "model"))]
    for heading, facts in about.items():
        parts.append(f"## {heading}\n")
        if isinstance(facts, str):
            parts.append(f"{facts}\n")
            continue
        rows = [f"- {key}: {_shown(value)}" for key, value in facts.items()]
        parts.append("\n".join(rows or ["- nothing is known"]) + "\n")
    return "\n".join(parts)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)


def _sample(key: str, spec: tf.TensorSpec | None):
    if key == "choices":
        return ["one choice", "another"]
    is_text = spec is None or spec.dtype == tf.string
    return f"some {key}" if is_text else 0


def _arguments(row: Mapping[str, object]) -> list[str]:
    words = []
    for key, value in row.items():
        for text in value if isinstance(value, list) else [value]:
            # Not shlex.quote: it leaves single words bare.
            quoted = f"'{text}'"
            words += [_OPTIONS[key], quoted] if key in _OPTIONS else [quoted]
    return words


def _table(
    signatures: Mapping[str, Inputs], outputs: Mapping[str, Inputs]
) -> list[str]:
    rows = ["| signature | inputs | outputs |", "|---|---|---|"]
    for name, inputs in signatures.items():
        given, answered = (_cell(side) for side in (inputs, outputs[name]))
        rows.append(f"| `{name}` | {given} | {answered} |")
    return rows


def _cell(tensors: Inputs) -> str:
    """`text` string [B], `scores` float32 [B, ?, 5]: ? may be any number."""
    return ", ".join(
        f"`{key}` {_tensor(spec)}" for key, spec in tensors.items()
    )


def _tensor(spec: tf.TensorSpec) -> str:
    if spec.shape.rank is None:
        return spec.dtype.name
    rest = ("?" if size is None else str(size) for size in spec.shape[1:])
    return f"{spec.dtype.name} [{', '.join(('B', *rest))}]"


_CARD_HEAD = """\
# {name}

A BERT model ({kind}) that takes raw text, written by tfbert. The facts below
were read from its run when it was exported.
"""

_README = """\
# {name}

A SavedModel that takes raw text. TF Serving {lowest} or newer loads it.

{facts}

{signatures}

B is the number of texts of a request, and may be 0; ? depends on the texts.

## Serve

    docker run --rm -p 8500:8500 -p 8501:8501 \\
        -v '{folder}:/models/{name}' -e MODEL_NAME={name} \\
        tensorflow/serving:2.20.0

With requests put together into batches, and any number of models:

    docker run --rm -p 8500:8500 -p 8501:8501 \\
        -v '{folder}:/models/{name}' tensorflow/serving:2.20.0 \\
        --model_config_file=/models/{name}/{models} \\
        --enable_batching \\
        --batching_parameters_file=/models/{name}/{batching}

Both files are beside this version and yours to change. The version is called
ready when it has answered the requests of
`assets.extra/tf_serving_warmup_requests`.

## Ask

    curl -d '{rows}' \\
        http://localhost:8501/v1/models/{name}:predict
    curl -d '{columns}' \\
        http://localhost:8501/v1/models/{name}:predict

By gRPC, with `pip install tensorflow-serving-api`:

    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    channel = grpc.insecure_channel("localhost:8500")
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "{name}"
    {protos}
    answer = stub.Predict(request, 10.0)
    print({{k: tf.make_ndarray(v) for k, v in answer.outputs.items()}})

## Without a server

    tfbert predict '{folder}' {words}

or in Python:

    import tensorflow as tf
    import tensorflow_text  # its operations may be in the graph

    model = tf.saved_model.load('{version}')
    answer = model.signatures["serving_default"]({tensors})
"""
