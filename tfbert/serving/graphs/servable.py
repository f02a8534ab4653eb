"""What is saved, and the way from strings to token ids inside of it.

Legend: B batch, S sequence, K choices.
"""

import inspect
import os
from collections.abc import Callable, Iterable, Mapping

import keras
import tensorflow as tf

from tfbert.batch_keys import TOKEN_KEYS
from tfbert.serving.graphs.checked_inputs import (
    as_promised,
    check_ids,
    signature,
)
from tfbert.text.windows.long_texts import CUT, LongTexts
from tfbert.text.windows.texts import TextRows, bytes_read, read_texts

# Strings of a request; the batch may have any size, 0 as well.
STRINGS = tf.TensorSpec([None], tf.string)

# Tokens that one forward pass computes, padding included: enough to keep the
# processor busy, few enough that neither many rows nor long ones exhaust the
# memory. Twelve heads' weights of 16 rows of 512 take 200 MB.
_TOKENS_AT_ONCE = 8192

# Places of padding that a part may hold. Another part costs what reading the
# weights once more does, which is about as much on a processor of few cores.
_PADDING_OF_A_PART = 64

# Rows are a multiple of so many tokens wide. Few widths come again and again,
# and oneDNN keeps what it has prepared for a shape; it does for 1,024 of them.
_STEP = 8

# What a model reads of a batch when its labels are not known.
TOKEN_INPUTS = (*TOKEN_KEYS, "choice_mask")


class Servable(tf.Module):
    """What is saved: signatures, and everything that they look at.

    Two signatures are added: `examples` (see `on_examples`) answers as
    `serving_default` does, and `tokens` (see `on_tokens`) runs the layer
    behind it on token ids.

    Args:
      layer: a built Keras layer, created outside any strategy's scope.
      tokenizer: a tf.Module, so that its tables are saved.
      signatures: name -> function on strings [B], as a tf.function.
      probabilities: of logits, where they are not the layer's own.
    """

    def __init__(
        self,
        layer,
        tokenizer: tf.Module,
        signatures: Mapping[str, Callable],
        probabilities: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ):
        super().__init__(name="servable")
        # A function: a layer as attribute would be saved with it.
        self._get_layer = lambda: layer
        self._on_tokens = lambda: on_tokens(layer, probabilities)
        # Keras' own variables are no tf.Variables, but hold one each.
        self.layer_variables = [v.value for v in layer.weights]
        self.tokenizer = tokenizer
        self.functions = {
            **signatures,
            "examples": on_examples(signatures["serving_default"]),
            "tokens": self._on_tokens(),
        }

    def store_as(self, dtype: str) -> None:
        """Keeps the weights in fewer bytes; call it before any signature.

        They are cast to what they were where the graph reads them, so that
        the arithmetic stays as it is.

        Args:
          dtype: "bfloat16" or "float16".
        """
        layer = self._get_layer()
        scope = StoredWeights(layer.weights, dtype)
        self.layer_variables = scope.stored
        with scope:
            tokens = self._on_tokens()
        self.functions = {
            name: tokens if name == "tokens" else _within(scope, function)
            for name, function in self.functions.items()
        }

    def save(self, folder: str | os.PathLike) -> None:
        """Writes the SavedModel into `folder`."""
        tf.saved_model.save(self, os.fspath(folder), dict(self.functions))


class StoredWeights(keras.StatelessScope):
    """A scope in which a layer's weights are read from where they are stored.

    Each read is an operation of the graph under construction: a loop's body
    and a function's hold casts of their own, and no weight is a constant.

    Args:
      variables: of a layer.
      dtype: that floating-point weights are stored in.

    Attributes:
      stored: a tf.Variable for each of `variables`.
    """

    def __init__(self, variables: Iterable[keras.Variable], dtype: str):
        super().__init__()
        self.stored = []
        self._by_id = {}
        for variable in variables:
            stored = variable.value
            if stored.dtype.is_floating:
                value = tf.cast(stored, dtype)
                stored = tf.Variable(value, trainable=False, name=variable.name)
            self.stored.append(stored)
            self._by_id[id(variable)] = stored

    def get_current_value(self, variable: keras.Variable) -> tf.Tensor | None:
        """The weight in the variable's own dtype.

        The table of embeddings comes as it is stored: all that read it cast
        what they take of it, and a cast of the table would take longer than
        a short text does.
        """
        stored = self._by_id.get(id(variable))
        if stored is None or variable.name == "token_embeddings":
            return stored
        return tf.cast(stored, variable.dtype)


def _within(scope: StoredWeights, function):
    """The same signature, traced within `scope`."""
    names = inspect.signature(function.python_function).parameters
    specs = {
        name: tf.TensorSpec(spec.shape, spec.dtype, name)
        for name, spec in zip(names, function.input_signature, strict=True)
    }

    @tf.function
    def scoped(**inputs):
        with scope:
            return function.python_function(**inputs)

    return scoped.get_concrete_function(**specs)


def read(
    tokenizer,
    max_length: int,
    text_a: tf.Tensor,
    text_b: tf.Tensor | None,
    long_texts: LongTexts = CUT,
) -> TextRows:
    """Tokenizes for one forward pass, or refuses what is too long.

    Returns:
      TextRows; S is the longest sequence in the batch, rounded up, and at most
      `max_length`.
    """
    if long_texts.refuse:
        limit = bytes_read(max_length, long_texts)
        text_a, text_b = (
            None if text is None else _within_bytes(text, limit)
            for text in (text_a, text_b)
        )
    rows = read_texts(
        tokenizer,
        text_a,
        text_b,
        max_length=max_length,
        long_texts=long_texts,
    )
    lengths = tf.reduce_sum(rows.batch["input_mask"], axis=1)
    if long_texts.refuse:
        message = (
            f"wanted texts of up to {long_texts.max_windows} rows of "
            f"{max_length} tokens, got a longer one"
        )
        all_read = ~tf.reduce_any(rows.cut)
        with tf.control_dependencies(
            [tf.debugging.Assert(all_read, [message])]
        ):
            lengths = tf.identity(lengths)
    width = _width(lengths, tf.shape(rows.batch["input_ids"])[1])
    batch = {key: value[:, :width] for key, value in rows.batch.items()}
    return rows._replace(batch=batch)


def _within_bytes(text: tf.Tensor, limit: int) -> tf.Tensor:
    """The text, but an error where it has more bytes than are read."""
    fits = tf.reduce_all(tf.strings.length(text) <= limit)
    message = f"wanted texts of up to {limit} bytes, got a longer one"
    with tf.control_dependencies([tf.debugging.Assert(fits, [message])]):
        return tf.identity(text)


def _width(lengths: tf.Tensor, most: tf.Tensor) -> tf.Tensor:
    """The width of rows that sequences of these lengths fit into.

    A multiple of _STEP, or `most`; at least 1.
    """
    # Of no rows the maximum is the smallest int32.
    longest = tf.maximum(tf.reduce_max(lengths), 1)
    return tf.minimum((longest + _STEP - 1) // _STEP * _STEP, most)


def run_in_parts(
    task: Callable,
    batch: Mapping[str, tf.Tensor],
    shapes: Mapping[str, list[int | None]],
) -> dict[str, tf.Tensor]:
    """Runs a task over rows, those of like length together.

    The rows are sorted by length, and each part is about as wide as its
    longest row: what is computed for padding is a few tokens a part, whatever
    lengths come together. No part has more than _TOKENS_AT_ONCE tokens, or it
    has one row.

    Args:
      task: a Task, or what is called like one and gives what it gives.
      batch: token inputs, [R, S] each; others are cut as they are.
      shapes: outputs that are wanted -> their static shapes, [None, ...].
        Where the second axis is None it is S.

    Returns:
      the outputs, float32 [R, ...]; at places of padding they mean nothing.
    """
    rows, width = tf.unstack(tf.shape(batch["input_ids"]))
    lengths = tf.reduce_sum(batch["input_mask"], axis=1)  # [R]
    order = tf.argsort(lengths, direction="DESCENDING")
    lengths = tf.gather(lengths, order)
    batch = {key: tf.gather(value, order) for key, value in batch.items()}
    options = {"dynamic_size": True, "infer_shape": False}
    arrays = [
        tf.TensorArray(tf.float32, 1, element_shape=shape, **options)
        for shape in shapes.values()
    ]

    def body(part, first, *arrays):
        size, wide = size_of_part(lengths[first:], width)
        some = {
            key: value[first : first + size, :wide]
            for key, value in batch.items()
        }
        outputs = task(some, training=False)
        written = [
            array.write(part, _widened(outputs[name], shape, width))
            for (name, shape), array in zip(shapes.items(), arrays, strict=True)
        ]
        return part + 1, first + size, *written

    # One part at least: of no rows too the outputs have the right shape.
    _, _, *arrays = tf.while_loop(
        lambda part, first, *_: (first < rows) | (part == 0),
        body,
        (0, 0, *arrays),
        # Two parts at once keep the cores busy; more would take more memory.
        parallel_iterations=2,
    )
    back = tf.argsort(order)
    outputs = {}
    for name, array in zip(shapes, arrays, strict=True):
        outputs[name] = tf.gather(array.concat(), back)
        outputs[name].set_shape(shapes[name])
    return outputs


def size_of_part(
    lengths: tf.Tensor, width: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """How many of the rows ahead, the longest first, are a part; its width."""
    wide = _width(lengths[:1], width)
    lengths = lengths[: tf.maximum(_TOKENS_AT_ONCE // tf.maximum(wide, 1), 1)]
    padding = tf.cumsum(tf.reduce_max(lengths) - lengths)
    size = tf.reduce_sum(tf.cast(padding <= _PADDING_OF_A_PART, tf.int32))
    return size, wide


def _widened(
    value: tf.Tensor, shape: list[int | None], width: tf.Tensor
) -> tf.Tensor:
    """The output as float32; zeros up to `width` where axis 1 is S."""
    value = tf.cast(value, tf.float32)
    if len(shape) < 2 or shape[1] is not None:
        return value
    missing = width - tf.shape(value)[1]
    return tf.pad(value, [[0, 0], [0, missing]] + [[0, 0]] * (len(shape) - 2))


def on_text(function: Callable):
    """A signature of one input, `text`, string [B]."""

    @signature(STRINGS)
    def of_text(text):
        return function(text)

    return of_text


def on_pairs(function: Callable):
    """A signature of two inputs, `text_a` and `text_b`, string [B]."""

    @signature(STRINGS, STRINGS)
    def of_pairs(text_a, text_b):
        return function(text_a, text_b)

    return of_pairs


def on_examples(function):
    """A signature of one input, `examples`: serialized tf.train.Example [B].

    Their features are the inputs of `function`, a tf.function with an input
    signature: strings as bytes, numbers as int64; a list of strings where
    the input is [B, K], filled up with "".
    """
    names = list(inspect.signature(function.python_function).parameters)
    features = {}
    for name, spec in zip(names, function.input_signature, strict=True):
        kind = tf.string if spec.dtype == tf.string else tf.int64
        if spec.shape.rank == 1:
            features[name] = tf.io.FixedLenFeature([], kind)
        else:
            features[name] = tf.io.RaggedFeature(kind)

    @signature(STRINGS)
    def of_examples(examples):
        parsed = tf.io.parse_example(examples, features)
        arguments = []
        for name, spec in zip(names, function.input_signature, strict=True):
            value = parsed[name]
            if isinstance(value, tf.RaggedTensor):
                value = value.to_tensor("")
            arguments.append(tf.cast(value, spec.dtype))
        return function(*arguments)

    return of_examples


def on_tokens(
    layer, probabilities: Callable[[tf.Tensor], tf.Tensor] | None = None
):
    """A signature on `input_ids`, `input_mask` and `segment_ids`.

    int32 [B, S] each; of multiple choice [B, K, S], with `choice_mask`
    [B, K]. It returns the outputs of the task; of a pretraining task, those
    of its encoder. Numbers come as float32 or int32.

    Args:
      layer: a Task or a BertEncoder.
      probabilities: of its logits, where they are not its own.
    """
    if hasattr(layer, "masked_lm"):
        layer = layer.encoder
    ranks = dict.fromkeys(TOKEN_KEYS, 2)
    if hasattr(layer, "input_signature"):
        ranks = {
            name: len(tensor.shape)
            for name, tensor in layer.input_signature(None).items()
            if name in TOKEN_INPUTS
        }
    if getattr(layer, "compares_examples", False):
        # Texts are compared in training; a row is served alone.
        ranks = dict.fromkeys(TOKEN_KEYS, 2)
    config = getattr(layer, "encoder", layer).config
    specs = {
        name: tf.TensorSpec([None] * rank, tf.int32, name)
        for name, rank in ranks.items()
    }

    @tf.function
    def of_tokens(**batch):
        checked = as_promised(specs, [batch[n] for n in specs], specs.values())
        batch = check_ids(dict(zip(specs, checked, strict=True)), config)
        outputs = dict(layer(batch, training=False))
        if probabilities is not None:
            logits = tf.cast(outputs["logits"], tf.float32)
            outputs["probabilities"] = probabilities(logits)
        return {
            name: tf.cast(value, tf.float32)
            if value.dtype.is_floating
            else value
            for name, value in outputs.items()
        }

    return of_tokens.get_concrete_function(**specs)
