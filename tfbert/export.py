"""SavedModels that take raw text and load into TF Serving.

An export is a folder of versions, `NAME/1/saved_model.pb`, `NAME/2/...`; TF
Serving watches NAME and serves the highest number. A version appears under
its number only when it is complete.

The graph holds everything between a string and its answer: tokenizer,
truncation, padding, encoder, head and label names. Sequences are padded to
the longest of their batch inside the graph. TF Serving's own batching would
pad with the first value of a tensor, so the input is strings of shape [B]
and needs no padding.

Legend: B batch, S sequence, H hidden, C classes.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from tfbert import atomic
from tfbert.errors import UserError

# Facts about an export for programs and people; TF Serving ignores it.
CARD = "assets.extra/model.json"
README = "README.md"

_STRINGS = tf.TensorSpec([None], tf.string)


class Servable(tf.Module):
    """What is saved: signatures, and everything that they look at.

    Args:
      layer: a built Keras layer, created outside any strategy's scope.
      tokenizer: a tf.Module, so that its tables are saved.
      signatures: name -> function on strings [B], as a tf.function.
    """

    def __init__(
        self,
        layer,
        tokenizer: tf.Module,
        signatures: Mapping[str, Callable],
    ):
        super().__init__(name="servable")
        # Keras' own variables are no tf.Variables, but hold one each.
        self.layer_variables = [v.value for v in layer.variables]
        self.tokenizer = tokenizer
        self.functions = dict(signatures)

    def save(self, folder: str | os.PathLike) -> None:
        """Writes the SavedModel into `folder`."""
        tf.saved_model.save(self, os.fspath(folder), dict(self.functions))


def classifier(
    task,
    tokenizer,
    labels: Sequence[str],
    max_length: int,
    pairs: bool = False,
) -> Servable:
    """A servable that labels sentences or pairs of sentences.

    Its signature `serving_default` maps `text` (pairs: `text_a` and
    `text_b`), string [B], to `label`, string [B], and `probabilities`,
    float32 [B, C] in the order of `labels`. `embed` is `embedder`'s.

    Args:
      task: a ClassificationTask.
      tokenizer: the Tokenizer that it was trained with.
      labels: names of the C classes.
      max_length: longest sequence in tokens; longer text is truncated.
      pairs: whether the input is two sentences.
    """
    names = tf.constant(list(labels), tf.string)  # [C]

    def classify(text_a, text_b=None):
        batch = encode(tokenizer, max_length, text_a, text_b)
        logits = task(batch, training=False)["logits"]
        probabilities = tf.nn.softmax(tf.cast(logits, tf.float32))  # [B, C]
        best = tf.argmax(probabilities, axis=-1)
        return {
            "label": tf.gather(names, best),
            "probabilities": probabilities,
        }

    embed = _embed_function(task.encoder, tokenizer, max_length)
    signatures = {
        "serving_default": _on_pairs(classify) if pairs else _on_text(classify),
        "embed": _on_text(embed),
    }
    return Servable(task, tokenizer, signatures)


def embedder(encoder, tokenizer, max_length: int) -> Servable:
    """A servable that turns sentences into vectors.

    Its signatures `serving_default` and `embed` map `text`, string [B], to
    `embedding`, float32 [B, H]: the mean of the vectors of all tokens,
    [CLS] and [SEP] included, at length 1 (Reimers and Gurevych 2019,
    section 3, "MEAN").
    """
    embed = _on_text(_embed_function(encoder, tokenizer, max_length))
    signatures = {"serving_default": embed, "embed": embed}
    return Servable(encoder, tokenizer, signatures)


def encode(
    tokenizer, max_length: int, text_a: tf.Tensor, text_b: tf.Tensor | None
) -> dict[str, tf.Tensor]:
    """Tokenizes for one forward pass.

    Returns:
      input_ids, input_mask and segment_ids, int32 [B, S]; S is the longest
      sequence in the batch, at least 1 and at most `max_length`.
    """
    batch = tokenizer.encode(text_a, text_b, max_length=max_length)
    lengths = tf.reduce_sum(batch["input_mask"], axis=1)
    # Of no rows the maximum is the smallest int32.
    longest = tf.maximum(tf.reduce_max(lengths), 1)
    return {key: value[:, :longest] for key, value in batch.items()}


def _embed_function(encoder, tokenizer, max_length):
    def embed(text):
        batch = encode(tokenizer, max_length, text, None)
        vectors = encoder(batch, training=False)["sequence_output"]
        mask = tf.cast(batch["input_mask"], tf.float32)[:, :, None]
        # The mean's denominator goes away when the length becomes 1.
        total = tf.reduce_sum(tf.cast(vectors, tf.float32) * mask, axis=1)
        return {"embedding": tf.math.l2_normalize(total, axis=-1)}

    return embed


def _on_text(function):
    # The argument's name becomes the input's name in a request.
    @tf.function(input_signature=[_STRINGS])
    def on_text(text):
        return function(text)

    return on_text


def _on_pairs(function):
    @tf.function(input_signature=[_STRINGS, _STRINGS])
    def on_pairs(text_a, text_b):
        return function(text_a, text_b)

    return on_pairs


def versions(export: str | os.PathLike) -> list[int]:
    """The complete versions in an export folder, ascending."""
    found = Path(export).glob("[0-9]*/saved_model.pb")
    return sorted(int(p.parent.name) for p in found if p.parent.name.isdigit())


def newest_version(export: str | os.PathLike) -> Path:
    """The folder of the newest version in `export`, or `export` itself.

    Raises:
      UserError: there is none.
    """
    export = Path(export)
    if (export / "saved_model.pb").exists():
        return export
    found = versions(export)
    if not found:
        state = "holds no version" if export.is_dir() else "does not exist"
        raise UserError(
            f"{export} {state}; a folder that `tfbert export RUN_DIR "
            f"--output {export}` wrote was wanted."
        )
    return export / str(found[-1])


def write_version(
    servable: Servable,
    output: str | os.PathLike,
    card: Mapping[str, object],
) -> Path:
    """Writes the next version into the export folder `output`.

    Args:
      servable: what to save.
      output: folder of versions; created if need be.
      card: facts for assets.extra/model.json; "labels", "max_length" and
        "inputs" are read by `tfbert predict` and the README.

    Returns:
      The version's folder.

    Raises:
      UserError: `output` is used for something else.
    """
    output = Path(output)
    check_output(output)
    target = output / str(max(versions(output), default=0) + 1)
    with atomic.folder(target) as folder:
        servable.save(folder)
        extra = folder / CARD
        extra.parent.mkdir(exist_ok=True)
        extra.write_text(
            json.dumps(card, indent=2, ensure_ascii=False) + "\n", "utf-8"
        )
        (folder / README).write_text(readme(target, card), "utf-8")
    return target


def check_output(output: Path) -> None:
    """Refuses a folder that holds anything but versions.

    Raises:
      UserError: `output` is a file, a version, or some other folder.
    """
    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file; an export is a folder.")
    if (output / "saved_model.pb").exists():
        raise UserError(
            f"{output} is one version of an export; give the folder above "
            "it, and the next version is written there."
        )
    if not output.is_dir():
        return
    other = sorted(
        path.name
        for path in output.iterdir()
        if not path.name.startswith(".") and not path.name.isdigit()
    )
    if other:
        raise UserError(
            f"{output} is in use: it holds {', '.join(other[:5])}. An export "
            "folder holds nothing but versions; name a new one."
        )


def read_card(version: str | os.PathLike) -> dict:
    """The facts that `write_version` left in a version; {} if none."""
    path = Path(version) / CARD
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def readme(version: Path, card: Mapping[str, object]) -> str:
    """How to serve a version and ask it, with its own names filled in."""
    version = version.resolve()
    name, folder = version.parent.name, version.parent
    texts = {key: f"some {key}" for key in card["inputs"]}
    only = next(iter(texts.values()))
    tensors = [f"{key}=tf.constant([{t!r}])" for key, t in texts.items()]
    facts = [
        f"- {key}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in card.items()
    ]
    return _README.format(
        name=name,
        folder=folder,
        version=version,
        facts="\n".join(facts),
        request=json.dumps({"instances": [only if len(texts) == 1 else texts]}),
        words=" --text_b ".join(map(repr, texts.values())),
        tensors=", ".join(tensors),
    )


_README = """\
# {name}

A SavedModel that takes raw text.

{facts}

## Serve

    docker run --rm -p 8501:8501 \\
        -v '{folder}:/models/{name}' -e MODEL_NAME={name} \\
        tensorflow/serving:2.20.0

## Ask

    curl -d '{request}' \\
        http://localhost:8501/v1/models/{name}:predict

## Without a server

    tfbert predict '{folder}' {words}

or in Python:

    import tensorflow as tf
    import tensorflow_text  # its operations may be in the graph

    model = tf.saved_model.load('{version}')
    answer = model.signatures["serving_default"]({tensors})
"""
