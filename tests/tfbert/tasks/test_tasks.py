import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.optimizers import AdamW
from tfbert.tasks import (
    ClassificationTask,
    MultiLabelTask,
    MultipleChoiceTask,
    PretrainingTask,
    QuestionAnsweringTask,
    RegressionTask,
    Task,
    TokenLabellingTask,
)
from tfbert.tasks.task import example_weights

CONFIG = BertConfig.preset("tiny", vocab_size=50, num_hidden_layers=1)


def make_task(kind, dtype=None):
    if kind == "classification":
        return ClassificationTask(CONFIG, 3, dtype=dtype)
    if kind == "regression":
        return RegressionTask(CONFIG, mean=2.0, scale=3.0, dtype=dtype)
    if kind == "multi_label":
        return MultiLabelTask(CONFIG, 3, dtype=dtype)
    if kind == "multiple_choice":
        return MultipleChoiceTask(CONFIG, dtype=dtype)
    if kind == "token_labelling":
        return TokenLabellingTask(CONFIG, 3, dtype=dtype)
    if kind == "question_answering":
        return QuestionAnsweringTask(CONFIG, dtype=dtype)
    return PretrainingTask(CONFIG, kind == "next_sentence", dtype=dtype)


# Where the signature leaves it open.
PREDICTIONS = 5


def make_batch(task, rows=4, seed=0, **lengths):
    rng = np.random.default_rng(seed)
    batch = {}
    for name, spec in task.input_signature(rows, **lengths).items():
        high = {"input_ids": 50, "masked_lm_ids": 50}.get(name, 2)
        shape = [PREDICTIONS if n is None else n for n in spec.shape]
        value = rng.integers(0, high, shape)
        batch[name] = tf.constant(value, spec.dtype)
    batch["input_mask"] = tf.ones_like(batch["input_ids"])
    if "choice_mask" in batch:
        batch["choice_mask"] = tf.ones_like(batch["choice_mask"])
    if "start_positions" in batch:
        # Answers stand in the second text.
        batch["segment_ids"] = tf.ones_like(batch["input_ids"])
    return batch


KINDS = (
    "pretraining",
    "next_sentence",
    "classification",
    "regression",
    "multi_label",
    "multiple_choice",
    "question_answering",
    "token_labelling",
)


@pytest.mark.parametrize(
    "dtype",
    ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.long)],
)
@pytest.mark.parametrize("kind", KINDS)
def test_learns_a_batch_by_heart(kind, dtype):
    task = make_task(kind, dtype)
    batch = make_batch(task, sequence_length=12)
    if "masked_lm_weights" in batch:
        batch["masked_lm_weights"] = tf.ones_like(batch["masked_lm_weights"])
        batch["masked_lm_ids"] = batch["masked_lm_ids"][:, :1] + tf.zeros(
            [4, PREDICTIONS], tf.int32
        )
    else:
        batch["is_real_example"] = tf.ones([4], tf.int32)
    optimizer = AdamW(2e-3)
    optimizer.build(task.trainable_variables)

    @tf.function
    def step(index):
        seed = tf.stack([7, index])
        with tf.GradientTape() as tape:
            outputs = task(batch, training=True, dropout_seed=seed)
            sums = task.loss_sums(batch, outputs)
            weights = task.loss_weights(batch)
            loss = sum(sums[name] / weights[name] for name in sums)
        gradients = tape.gradient(loss, task.trainable_variables)
        optimizer.apply(gradients)
        return loss

    losses = [float(step(tf.constant(index))) for index in range(40)]
    assert losses[-1] < 0.3 * losses[0]
    metrics = task.metric_sums(batch, task(batch))
    for name, (value, weight) in metrics.items():
        mean = float(value / weight)
        assert mean < 0.5 if name == "mse" else mean > 0.9
        assert value.dtype == weight.dtype == tf.float32


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_xla_compiles_the_step_to_the_same_numbers(kind):
    task = make_task(kind)
    batch = make_batch(task, sequence_length=12)

    def step():
        with tf.GradientTape() as tape:
            outputs = task(batch, training=True, dropout_seed=[1, 2])
            sums = task.loss_sums(batch, outputs)
            loss = sum(sums.values())
        gradients = tape.gradient(loss, task.trainable_variables)
        # The pooler has none in masked-LM pretraining.
        return loss, [value for value in gradients if value is not None]

    wanted_loss, wanted = tf.function(step)()
    got_loss, got = tf.function(step, jit_compile=True)()
    np.testing.assert_allclose(got_loss, wanted_loss, rtol=1e-5)
    for one, two in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_interface(kind):
    task = make_task(kind)
    batch = make_batch(task)
    outputs = task(batch)
    sums, weights = task.loss_sums(batch, outputs), task.loss_weights(batch)
    assert set(sums) == set(weights)
    for value in (*sums.values(), *weights.values()):
        assert value.dtype == tf.float32 and value.shape == ()
    symbolic = task(task.input_signature(None))
    assert set(symbolic) == set(outputs)
    for name, value in symbolic.items():
        for own, other in zip(value.shape, outputs[name].shape, strict=True):
            assert own in (None, other)
    copy = type(task).from_config(task.get_config())
    for name, value in copy(batch).items():
        np.testing.assert_allclose(value, outputs[name], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_sums_add_up_over_parts_of_a_batch(kind):
    task = make_task(kind)
    batch = make_batch(task, rows=6)
    parts = [
        {name: value[part] for name, value in batch.items()}
        for part in (slice(0, 2), slice(2, 6))
    ]

    def everything(batch):
        outputs = task(batch)
        flat = {}
        flat.update(task.loss_weights(batch))
        for name, value in task.loss_sums(batch, outputs).items():
            flat[f"{name} sum"] = value
        for name, pair in task.metric_sums(batch, outputs).items():
            flat[f"{name} value"], flat[f"{name} weight"] = pair
        return flat

    whole = everything(batch)
    first, second = map(everything, parts)
    for name, value in whole.items():
        np.testing.assert_allclose(
            value, first[name] + second[name], rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_fill_the_batch_count_for_nothing(kind):
    task = make_task(kind)
    batch = make_batch(task, rows=3)
    if "is_real_example" in batch:
        batch["is_real_example"] = tf.ones([3], tf.int32)
    padded = {
        name: tf.concat([value, tf.zeros_like(value)], axis=0)
        for name, value in batch.items()
    }
    for measure in (
        lambda b: task.loss_weights(b),
        lambda b: task.loss_sums(b, task(b)),
        lambda b: task.metric_sums(b, task(b)),
    ):
        wanted, got = measure(batch), measure(padded)
        for name in wanted:
            np.testing.assert_allclose(wanted[name], got[name], rtol=1e-5)


def test_packed_rows_have_the_losses_of_unpacked_ones():
    task = make_task("masked_lm")
    rng = np.random.default_rng(4)
    lengths, length, slots = (5, 8, 3), 16, 2
    parts = [rng.integers(5, 40, n).astype(np.int32) for n in lengths]
    picks = [rng.permutation(n)[:slots].astype(np.int32) for n in lengths]
    labels = rng.integers(5, 40, (len(parts), slots)).astype(np.int32)

    def batch(rows, positions, labels):
        return {
            "input_ids": np.stack(rows),
            "input_mask": np.stack([row > 0 for row in rows]).astype(np.int32),
            "segment_ids": np.zeros((len(rows), length), np.int32),
            "masked_lm_positions": positions.astype(np.int32),
            "masked_lm_ids": labels,
            "masked_lm_weights": np.ones(labels.shape, np.float32),
        }

    padded = [np.pad(part, (0, length - len(part))) for part in parts]
    apart = batch(padded, np.stack(picks), labels)
    starts = np.cumsum([0, *lengths[:-1]])
    together = batch(
        [np.concatenate(parts)],
        np.concatenate([p + s for p, s in zip(picks, starts, strict=True)])[
            None
        ],
        labels.reshape(1, -1),
    )
    together["sequence_ids"] = np.repeat([1, 2, 3], lengths)[None].astype("i4")
    together["position_ids"] = np.concatenate([np.arange(n) for n in lengths])[
        None
    ].astype("i4")
    np.testing.assert_allclose(
        np.ravel(task(together)["masked_lm_losses"]),
        np.ravel(task(apart)["masked_lm_losses"]),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        task.loss_sums(together, task(together))["masked_lm_loss"],
        task.loss_sums(apart, task(apart))["masked_lm_loss"],
        rtol=1e-5,
    )


def test_a_batch_without_labels_has_logits_only():
    task = make_task("pretraining")
    batch = make_batch(task)
    labelled = task(batch)
    del batch["masked_lm_ids"]
    outputs = task(batch)
    assert set(outputs) == {"masked_lm_logits"}
    np.testing.assert_array_equal(
        tf.argmax(outputs["masked_lm_logits"], axis=-1),
        labelled["masked_lm_answers"],
    )


def test_example_weights_default_to_one():
    np.testing.assert_array_equal(
        example_weights({"input_ids": tf.zeros([3, 2], tf.int32)}), [1, 1, 1]
    )


def test_what_a_subclass_must_define():
    task = Task(CONFIG)
    for call, words in (
        (lambda: task.call({}), "call"),
        (lambda: task.loss_sums({}, {}), "loss_sums"),
        (lambda: task.input_signature(1), "input_signature"),
    ):
        with pytest.raises(NotImplementedError, match=words):
            call()
    assert task.metric_sums({}, {}) == {}


def test_a_task_of_ones_own():
    class FirstTokenTask(Task):
        """Predicts the class of a row from its first hidden state."""

        def __init__(self, config, **options):
            super().__init__(config, name="first_token", **options)
            self.head = keras.layers.Dense(2, name="head")
            self.head.build((None, config.hidden_size))
            self.build()

        def call(self, batch, training=False, dropout_seed=None):
            encoded = self.encoder(
                batch, training=training, dropout_seed=dropout_seed
            )
            return {"logits": self.head(encoded["sequence_output"][:, 0])}

        def loss_sums(self, batch, outputs):
            return {"loss": keras.ops.sum(outputs["logits"] ** 2)}

    task = FirstTokenTask(CONFIG)
    batch = {"input_ids": np.ones((2, 4), np.int32)}
    assert float(task.loss_weights(batch)["loss"]) == 2
    assert task.loss_sums(batch, task(batch))["loss"].shape == ()


def test_one_class_is_refused():
    with pytest.raises(UserError, match="at least two classes"):
        ClassificationTask(CONFIG, 1)
    with pytest.raises(UserError, match="at least two tags"):
        TokenLabellingTask(CONFIG, 1)


def test_tokens_without_a_label_count_for_nothing():
    task = make_task("token_labelling")
    batch = make_batch(task, sequence_length=12)
    batch["is_real_example"] = tf.constant([1, 1, 1, 0])
    labels = batch["label_ids"].numpy()
    labels[:, ::3] = -1
    batch["label_ids"] = tf.constant(labels)
    assert float(task.loss_weights(batch)["loss"]) == 3 * 8
    log = tf.nn.log_softmax(task(batch)["logits"]).numpy()[:3]
    real = labels[:3] >= 0
    wanted = -log[real, labels[:3][real]].sum()
    loss = task.loss_sums(batch, task(batch))["loss"]
    assert float(loss) == pytest.approx(wanted, rel=1e-5)


def test_real_examples_of_several_rows_each():
    """[B, K, S]: an example is real where any of its choices has a token."""
    task = make_task("multiple_choice")
    batch = make_batch(task, rows=3, sequence_length=6, choices=3)
    mask = np.ones((3, 3, 6), np.int32)
    mask[1, :2] = mask[2] = 0
    batch["input_mask"] = tf.constant(mask)
    del batch["is_real_example"]
    assert float(task.loss_weights(batch)["loss"]) == 2.0
    losses = task.loss_sums(batch, task(batch))["loss"]
    batch["is_real_example"] = tf.constant([1, 1, 0])
    assert float(losses) == float(task.loss_sums(batch, task(batch))["loss"])


@pytest.mark.parametrize(
    "kind", ["next_sentence", "multiple_choice", "question_answering"]
)
def test_a_model_of_one_segment_is_refused(kind, monkeypatch):
    one = BertConfig.from_dict({**CONFIG.to_dict(), "type_vocab_size": 1})
    monkeypatch.setitem(globals(), "CONFIG", one)
    with pytest.raises(UserError, match="type_vocab_size 1: it could not see"):
        make_task(kind)
    make_task("classification")


def test_a_segment_that_the_model_does_not_have_is_an_error():
    task = make_task("classification")
    batch = make_batch(task, sequence_length=6)
    batch["segment_ids"] = tf.constant([[0, 0, 1, 1, 2, 0]] * 4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="2 is not in"):
        task(batch)


@pytest.mark.parametrize(
    "weights",
    [[1.0], [[1.0, 2.0, 3.0]], [1.0, 0.0, 1.0], [1.0, np.nan, 1.0], ["a"] * 3],
)
def test_class_weights_that_are_none(weights):
    with pytest.raises(UserError, match="class_weights of 3 finite numbers"):
        ClassificationTask(CONFIG, 3, weights)


def test_class_weights_of_numpy():
    task = ClassificationTask(CONFIG, 3, np.array([1.0, 2.0, 0.5], "float32"))
    assert task.get_config()["class_weights"] == [1.0, 2.0, 0.5]


@pytest.mark.parametrize(
    "mean, scale", [(np.inf, 1.0), (0.0, np.nan), (0.0, 1e39), (0.0, 0.0)]
)
def test_scores_that_float32_cannot_hold(mean, scale):
    with pytest.raises(UserError, match="give the scores in another unit"):
        RegressionTask(CONFIG, mean, scale)


def test_the_last_separator_is_no_answer():
    task = make_task("question_answering")
    batch = make_batch(task, rows=2, sequence_length=6)
    batch["segment_ids"] = tf.constant([[0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0]])
    batch["input_mask"] = tf.constant([[1] * 6, [1, 1, 1, 1, 0, 0]])
    outputs = task(batch)
    for end in ("start_logits", "end_logits"):
        open_ = outputs[end].numpy() > -1e8
        wanted = [[1, 0, 1, 1, 1, 0], [1, 0, 1, 0, 0, 0]]
        np.testing.assert_array_equal(open_, wanted)


def test_a_question_without_choices_has_no_probable_one():
    from tfbert.tasks.multiple_choice import among_choices

    scores = tf.constant([[1.0], [2.0], [3.0], [4.0]])
    found = among_choices(scores, tf.constant([[0, 0], [1, 0]]))
    np.testing.assert_array_equal(found["probabilities"], [[0, 0], [1, 0]])
