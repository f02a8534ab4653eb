"""The encoder as a part of a plain Keras model: fit, save, load, clone."""

import json

import keras
import numpy as np
import pytest

from tfbert import BertConfig, BertEncoder
from tfbert.layers import (
    Dense,
    Dropout,
    Embeddings,
    EncoderBlock,
    FeedForward,
    LayerNorm,
    MaskedLMHead,
    NextSentenceHead,
    SelfAttention,
)
from tfbert.tasks import ClassificationTask

CONFIG = BertConfig(
    vocab_size=40,
    hidden_size=12,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=20,
    max_position_embeddings=9,
)
RNG = np.random.default_rng(3)
BATCH = {
    "input_ids": RNG.integers(5, 40, (8, 7), np.int32),
    "input_mask": np.ones((8, 7), np.int32),
}
NORMAL = keras.initializers.RandomNormal(stddev=0.5, seed=2)
LABELS = RNG.integers(0, 3, 8)


def make_model(encoder):
    inputs = {
        name: keras.Input((None,), dtype="int32", name=name) for name in BATCH
    }
    pooled = encoder(inputs)["pooled_output"]
    head = keras.layers.Dense(3, kernel_initializer=NORMAL, name="head")
    return keras.Model(inputs, head(pooled))


def fitted(seed=0, frozen=(), **steps):
    """A model after some steps of a stock optimizer, and its losses.

    Not compiled: that would take most of the time.
    """
    encoder = BertEncoder(CONFIG, seed=seed)
    for layer in frozen:
        layer(encoder).trainable = False
    model = make_model(encoder)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, run_eagerly=True)
    history = model.fit(
        BATCH,
        LABELS,
        **{"batch_size": 8, "epochs": 2, "verbose": 0} | steps,
        shuffle=False,
    )
    return model, history.history["loss"]


@pytest.fixture(scope="module")
def model():
    return fitted()[0]


def same_weights(first, second):
    return len(first.weights) == len(second.weights) and all(
        np.array_equal(a.numpy(), b.numpy())
        for a, b in zip(first.weights, second.weights, strict=True)
    )


def trainable(model):
    return [v.path for v in model.trainable_variables]


def test_fits_with_dropout_and_the_seed_decides(model):
    again, losses = fitted()
    assert losses[-1] < losses[0]
    assert same_weights(model, again)
    assert not same_weights(model, fitted(seed=1)[0])


def test_dropout_differs_from_step_to_step():
    encoder = BertEncoder(CONFIG)
    first, second = (
        encoder(BATCH, training=True)["pooled_output"].numpy() for _ in "ab"
    )
    assert not np.array_equal(first, second)
    # Also in the compiled step: at rate 0 the loss moves by dropout alone.
    model = make_model(BertEncoder(CONFIG))
    kernel = np.ones((12, 3)) * [0, 1, 2]
    model.get_layer("head").set_weights([kernel, np.zeros(3)])
    model.compile(
        keras.optimizers.SGD(0.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    steps = {"batch_size": 8, "epochs": 4, "verbose": 0, "shuffle": False}
    losses = model.fit(BATCH, LABELS, **steps).history["loss"]
    assert len(set(losses)) == 4


def test_the_encoder_has_no_weight_for_it():
    """What is written of an encoder is the same as ever."""
    names = {v.path.split("/", 1)[1] for v in BertEncoder(CONFIG).weights}
    assert not [name for name in names if "seed" in name]


def test_a_task_has_no_seeds_of_its_own():
    """A step that forgets the seed would not resume with the same bytes."""
    task = ClassificationTask(CONFIG, 3)
    with pytest.raises(ValueError, match="dropout_seed="):
        task(BATCH, training=True)


def test_comes_back_from_a_keras_file(tmp_path):
    model, _ = fitted()
    path = tmp_path / "model.keras"
    model.save(path)
    copy = keras.saving.load_model(path)
    assert isinstance(copy.get_layer("encoder"), BertEncoder)
    assert copy.get_layer("encoder").config == CONFIG
    np.testing.assert_array_equal(
        copy.predict(BATCH, verbose=0), model.predict(BATCH, verbose=0)
    )
    # Training goes on as it would have: moments, steps and dropout are there.
    copy.run_eagerly = True
    steps = {"batch_size": 8, "epochs": 2, "verbose": 0, "shuffle": False}
    histories = [m.fit(BATCH, LABELS, **steps).history for m in (model, copy)]
    assert histories[0] == histories[1]


def test_comes_back_from_a_weights_file(model, tmp_path):
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    copy = make_model(BertEncoder(CONFIG, seed=7))
    copy.load_weights(path)
    assert same_weights(copy, model)


FREEZES = {
    "encoder": lambda encoder: encoder,
    "block": lambda encoder: encoder.blocks[0],
    "part": lambda encoder: encoder.blocks[1].attention.output_dense,
}


@pytest.mark.parametrize("what", FREEZES)
def test_what_is_frozen_stays_frozen(what, tmp_path):
    freeze = FREEZES[what]
    model, _ = fitted(frozen=[freeze], epochs=1)
    encoder = model.get_layer("encoder")
    start = BertEncoder(CONFIG)
    assert same_weights(freeze(encoder), freeze(start))
    assert not same_weights(encoder.pooler, start.pooler) or what == "encoder"
    wanted = trainable(model)
    assert 0 < len(wanted) < len(model.weights)

    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    cloned = keras.models.clone_model(model)
    for copy in (loaded, cloned):
        assert trainable(copy) == wanted
        assert not freeze(copy.get_layer("encoder")).trainable
    assert same_weights(loaded, model)
    copy = BertEncoder.from_config(encoder.get_config())
    assert trainable(copy) == trainable(encoder)
    # Keras leaves everything as it is where the layer's own flag is True.
    copy.trainable = False
    copy.trainable = True
    assert len(trainable(copy)) == len(copy.weights)


def test_a_block_that_thaws_in_a_frozen_encoder_is_remembered():
    encoder = BertEncoder(CONFIG)
    encoder.trainable = False
    encoder.blocks[1].trainable = True
    copy = BertEncoder.from_config(encoder.get_config())
    assert not copy.trainable
    assert copy.blocks[1].trainable and not copy.blocks[0].trainable
    assert copy.blocks[1].attention.query_key_value.trainable


PUBLIC = {
    "config": lambda: CONFIG,
    "encoder": lambda: BertEncoder(CONFIG, seed=5),
    "attention": lambda: SelfAttention(CONFIG, salt="x"),
    "block": lambda: EncoderBlock(CONFIG, 1),
    "dense": lambda: Dense(CONFIG, 3, 4, name="d"),
    "dropout": lambda: Dropout(0.25, "x", name="y"),
    "embeddings": lambda: Embeddings(CONFIG),
    "feed_forward": lambda: FeedForward(CONFIG),
    "layer_norm": lambda: LayerNorm(CONFIG),
    "masked_lm": lambda: MaskedLMHead(CONFIG),
    "next_sentence": lambda: NextSentenceHead(CONFIG, dtype="mixed_bfloat16"),
    "task": lambda: ClassificationTask(CONFIG, 3, [1, 2, 3]),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_is_known_to_keras(name):
    thing = PUBLIC[name]()
    data = keras.saving.serialize_keras_object(thing)
    assert data["registered_name"] == f"tfbert>{type(thing).__name__}"
    copy = keras.saving.deserialize_keras_object(json.loads(json.dumps(data)))
    assert type(copy) is type(thing)
    assert copy.get_config() == thing.get_config()


def test_numpy_numbers_are_numbers():
    config = BertConfig(
        vocab_size=np.int64(40),
        hidden_size=np.int32(12),
        num_hidden_layers=np.uint8(1),
        num_attention_heads=np.int16(3),
        intermediate_size=np.int64(20),
        hidden_dropout_prob=np.float64(0.5),
        initializer_range=np.float32(0.25),
    )
    assert config == BertConfig.from_dict(json.loads(json.dumps(vars(config))))
    assert {type(value) for value in vars(config).values()} == {int, float, str}
    encoder = BertEncoder(config, seed=np.int64(4))
    layer = Dense(config, np.int64(3), np.int64(4), seed=np.int64(2))
    for thing in (encoder, layer, EncoderBlock(config, np.int64(0))):
        json.dumps(thing.get_config())
    assert same_weights(encoder, BertEncoder(config, seed=4))


@pytest.mark.parametrize("value", [np.float64(12.0), np.bool_(True), "12"])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(ValueError, match="vocab_size must be a whole number"):
        BertConfig(vocab_size=value)
