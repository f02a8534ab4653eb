"""One model through every format: the same numbers, and back bit by bit.

Needs no peer: what was written is read by an independent BERT in NumPy that
knows only Hugging Face's names, and the formats are compared with each other.
"""

import dataclasses
import json
import math

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

import tfbert
from tfbert.converters import huggingface, own, sources
from tfbert.errors import UserError
from tfbert.weights import checkpoint_files, hdf5_files, safetensors_files
from tfbert.weights.portable_model import Pooling
from trainers.finetuning.saved_run import FinetunedRun

erf = np.vectorize(math.erf)


def numpy_bert(weights, heads, ids, mask, segments):
    """Devlin et al. 2018 by Hugging Face's names; one row, float64."""
    w = {name: np.asarray(x, np.float64) for name, x in weights.items()}

    def dense(name, x):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name, x):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    def gelu(x):
        return 0.5 * x * (1 + erf(x / np.sqrt(2)))

    e = "embeddings"
    x = w[f"{e}.word_embeddings.weight"][ids]
    x = x + w[f"{e}.token_type_embeddings.weight"][segments]
    x = x + w[f"{e}.position_embeddings.weight"][: len(ids)]
    x = norm(f"{e}.LayerNorm", x)
    layer = 0
    while f"encoder.layer.{layer}.output.dense.bias" in w:
        p = f"encoder.layer.{layer}"
        parts = [
            np.split(dense(f"{p}.attention.self.{name}", x), heads, axis=1)
            for name in ("query", "key", "value")
        ]
        contexts = []
        for query, key, value in zip(*parts, strict=True):
            scores = query @ key.T / np.sqrt(query.shape[1])
            scores = np.where(np.asarray(mask)[None] == 1, scores, -1e30)
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            contexts.append(scores / scores.sum(-1, keepdims=True) @ value)
        y = dense(f"{p}.attention.output.dense", np.concatenate(contexts, 1))
        x = norm(f"{p}.attention.output.LayerNorm", x + y)
        y = gelu(dense(f"{p}.intermediate.dense", x))
        y = dense(f"{p}.output.dense", y)
        x = norm(f"{p}.output.LayerNorm", x + y)
        layer += 1
    return x, np.tanh(dense("pooler.dense", x[0]))


def hand_made_folder(folder, prefix, old_spelling=False):
    """A Hugging Face folder that none of our code has touched."""
    rng = np.random.default_rng(7)
    width, inner, vocab = 12, 20, 9
    shapes = {
        "embeddings.word_embeddings.weight": (vocab, width),
        "embeddings.position_embeddings.weight": (11, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
        "pooler.dense.weight": (width, width),
        "pooler.dense.bias": (width,),
    }
    for i in range(2):
        p = f"encoder.layer.{i}"
        dense = {
            f"{p}.attention.self.query": (width, width),
            f"{p}.attention.self.key": (width, width),
            f"{p}.attention.self.value": (width, width),
            f"{p}.attention.output.dense": (width, width),
            f"{p}.intermediate.dense": (inner, width),
            f"{p}.output.dense": (width, inner),
        }
        for name, shape in dense.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        for name in (f"{p}.attention.output", f"{p}.output"):
            shapes[f"{name}.LayerNorm.weight"] = (width,)
            shapes[f"{name}.LayerNorm.bias"] = (width,)
    weights = {
        name: rng.normal(0, 0.4, shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    saved = {prefix + name: value for name, value in weights.items()}
    if old_spelling:
        for new, old in (("weight", "gamma"), ("bias", "beta")):
            saved = {
                name.replace(f"LayerNorm.{new}", f"LayerNorm.{old}"): value
                for name, value in saved.items()
            }
        saved[f"{prefix}embeddings.position_ids"] = np.arange(11)[None]
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(safetensors.numpy.save(saved))
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": vocab,
        "hidden_size": width,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": inner,
        "hidden_act": "gelu",
        "max_position_embeddings": 11,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return weights


@pytest.mark.parametrize("prefix,old", [("", False), ("bert.", True)])
def test_a_folder_made_by_hand_equals_numpy(prefix, old, tmp_path):
    weights = hand_made_folder(tmp_path / "hf", prefix, old)
    encoder = tfbert.load_encoder(tmp_path / "hf")
    ids = np.array([[2, 5, 7, 8, 3, 0, 0], [2, 4, 3, 0, 0, 0, 0]])
    mask = (ids > 0).astype(np.int32)
    segments = np.array([[0, 0, 0, 1, 1, 0, 0], [0] * 7])
    got = encoder(
        {"input_ids": ids, "input_mask": mask, "segment_ids": segments}
    )
    for row in range(2):
        x, pooled = numpy_bert(weights, 3, ids[row], mask[row], segments[row])
        real = mask[row] == 1
        np.testing.assert_allclose(
            got["sequence_output"][row][real], x[real], atol=1e-5
        )
        np.testing.assert_allclose(got["pooled_output"][row], pooled, atol=1e-5)


def assert_same_tensors(one, two):
    assert set(one) == set(two)
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name], err_msg=name)


def folder_bytes(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "run.json"
    }


@pytest.mark.parametrize("kind", ["huggingface", "keras_hub", "google"])
@pytest.mark.parametrize("task", ["pretraining", "classification", "encoder"])
def test_round_trips_are_byte_equal(portable, kind, task, tmp_path):
    config = dataclasses.replace(portable().config, hidden_act="gelu_new")
    # keras-hub has no place for the next sentence.
    model = portable(task, kind != "keras_hub", config)
    sources.write(model, kind, tmp_path / "1")
    assert sources.detect(tmp_path / "1") == kind
    first = sources.read(tmp_path / "1")
    assert first.task == task
    # keras-hub does not say how weights began.
    spread = {"initializer_range": config.initializer_range}
    assert dataclasses.replace(first.config, **spread) == config
    assert first.vocabulary == model.vocabulary
    assert_same_tensors(first.tensors, model.tensors)
    sources.write(first, "tfbert", tmp_path / "2")
    assert sources.detect(tmp_path / "2") == "tfbert"
    second = sources.read(tmp_path / "2")
    assert_same_tensors(second.tensors, model.tensors)
    sources.write(second, kind, tmp_path / "3")
    assert folder_bytes(tmp_path / "1") == folder_bytes(tmp_path / "3")
    if kind == "huggingface":
        assert second.labels == model.labels
        sources.write(sources.read(tmp_path / "3"), "tfbert", tmp_path / "4")
        assert folder_bytes(tmp_path / "2") == folder_bytes(tmp_path / "4")


@pytest.mark.parametrize(
    "slots",
    [
        ("adam_m", "adam_v"),
        ("BERTAdam", "BERTAdam_1"),
        ("LAMBOptimizer", "LAMBOptimizer_1"),
        ("Adam", "Adam_1", "ExponentialMovingAverage"),
        ("AdamWeightDecayOptimizer/m", "AdamWeightDecayOptimizer/v"),
    ],
)
def test_google_names_and_optimizer_slots(slots, portable, tmp_path):
    """A checkpoint of TensorFlow 1's Saver, with what any optimizer keeps."""
    config = dataclasses.replace(portable().config, hidden_act="gelu_new")
    model = portable("pretraining", True, config)
    sources.write(model, "google", tmp_path / "written")
    reader = tf.train.load_checkpoint(str(tmp_path / "written/bert_model.ckpt"))
    shapes = reader.get_variable_to_shape_map()
    assert shapes["cls/seq_relationship/output_weights"] == [2, 32]
    query = "bert/encoder/layer_1/attention/self/query/kernel"
    np.testing.assert_array_equal(
        reader.get_tensor(query),
        model.tensors["encoder/block_1/attention/query_key_value/kernel"][
            :, :32
        ],
    )
    folder = tmp_path / "trained"
    folder.mkdir()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name in shapes:
            value = reader.get_tensor(name)
            tf.compat.v1.get_variable(name, initializer=value)
            for slot in slots:
                tf.compat.v1.get_variable(
                    f"{name}/{slot}", initializer=np.zeros_like(value)
                )
        for name in ("global_step", "beta1_power", "loss_scale/good_steps"):
            tf.compat.v1.get_variable(name, initializer=np.int64(7))
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(folder / "model.ckpt-7"))
    for file in ("bert_config.json", "vocab.txt"):
        (folder / file).write_bytes((tmp_path / "written" / file).read_bytes())
    for source in (folder, folder / "model.ckpt-7"):
        again = sources.read(source)
        assert again.kind == "google" and again.task == "pretraining"
        assert again.config.hidden_act == "gelu_new"
        note = next(x for x in again.notes if x.startswith("left out"))
        assert slots[0].split("/")[-1] in note and "good_steps" in note
        assert_same_tensors(again.tensors, model.tensors)


def test_what_a_format_cannot_hold_is_refused_by_name(portable, tmp_path):
    labels = portable("token_labelling")
    for kind in ("google", "keras_hub"):
        with pytest.raises(UserError, match="no .* for token_labelling"):
            sources.write(labels, kind, tmp_path / "out")
        sources.write(
            sources.encoder_only(labels), kind, tmp_path / f"encoder_{kind}"
        )
    for change, word in (
        ({"norm_position": "pre"}, "norm_position"),
        ({"position_embedding_type": "sinusoidal"}, "position_embedding_type"),
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps"),
    ):
        config = dataclasses.replace(labels.config, **change)
        model = portable("encoder", config=config)
        kinds = ["google", "keras_hub"]
        kinds += ["huggingface"] if "eps" not in word else []
        for kind in kinds:
            with pytest.raises(UserError, match=word):
                sources.write(model, kind, tmp_path / "out")
        # Our own format holds all that we can compute.
        sources.write(model, "tfbert", tmp_path / word)
        assert_same_tensors(
            sources.read(tmp_path / word).tensors, model.tensors
        )
    with pytest.raises(UserError, match="wanted a format"):
        sources.write(labels, "model_garden", tmp_path / "out")
    extra = {**labels.tensors, "other/kernel": np.zeros((2, 2), np.float32)}
    model = dataclasses.replace(labels, tensors=extra)
    with pytest.raises(UserError, match=r"no place .*\n  other/kernel"):
        sources.write(model, "huggingface", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".tmp-*"))
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match="exists already"):
        sources.write(labels, "tfbert", tmp_path / "there")


def test_a_missing_pooler_is_new_and_the_same_every_time(portable, tmp_path):
    model = portable("token_labelling")
    sources.write(model, "huggingface", tmp_path / "hf")
    read = sources.read(tmp_path / "hf")
    assert "pooler" not in read.parts
    assert any("no pooler" in note for note in read.notes)
    one, two = (own.with_pooler(read).tensors for _ in range(2))
    kernel = "encoder/pooler/kernel"
    np.testing.assert_array_equal(one[kernel], two[kernel])
    assert 0.1 < one[kernel].std() < 0.4
    tfbert.load_encoder(tmp_path / "hf")


def test_a_converted_classifier_is_a_run(portable, tmp_path):
    model = portable("classification")
    sources.write(model, "huggingface", tmp_path / "hf")
    sources.write(sources.read(tmp_path / "hf"), "tfbert", tmp_path / "run")
    run = FinetunedRun(tmp_path / "run")
    assert run.kind.labels == list(model.labels)
    batch = run.tokenizer.encode(["a b c", "d"], max_length=8)
    logits = run.load_task().task(batch)["logits"]
    pooled = tfbert.load_encoder(tmp_path / "hf")(batch)["pooled_output"]
    wanted = pooled.numpy() @ model.tensors["classifier/kernel"]
    np.testing.assert_allclose(
        logits, wanted + model.tensors["classifier/bias"], atol=1e-5
    )


@pytest.mark.parametrize("kind", ["huggingface", "tfbert"])
def test_a_lost_threshold_is_noted(portable, kind, tmp_path):
    chosen = {"no_answer_threshold": 1.25, "f1": 80.0}
    facts = {"kind": "question_answering", "no_answer": True}
    model = portable("question_answering")
    for number, (run, said) in enumerate(
        [
            ({**facts, "validation": chosen}, kind != "tfbert"),
            ({**facts, "no_answer": False, "validation": chosen}, False),
            (facts, False),
            (None, False),
        ]
    ):
        model = dataclasses.replace(model, run=run)
        written = sources.write(model, kind, tmp_path / str(number))
        notes = [n for n in written.notes if "no-answer threshold 1.25" in n]
        assert len(notes) == said


def test_sentence_transformers_keep_their_pooling(portable, tmp_path):
    pooling = Pooling("cls", normalize=False, max_length=20)
    model = dataclasses.replace(portable("encoder"), pooling=pooling)
    sources.write(model, "huggingface", tmp_path / "1")
    assert sources.read(tmp_path / "1").pooling == pooling
    sources.write(sources.read(tmp_path / "1"), "tfbert", tmp_path / "2")
    sources.write(sources.read(tmp_path / "2"), "huggingface", tmp_path / "3")
    assert folder_bytes(tmp_path / "1") == folder_bytes(tmp_path / "3")


def test_architecture_decides_what_a_head_means(portable, tmp_path):
    for task in ("multiple_choice", "regression", "multi_label"):
        model = portable(task)
        sources.write(model, "huggingface", tmp_path / task)
        again = sources.read(tmp_path / task)
        assert again.task == task
        assert huggingface.architecture(again)[1] == frozenset()
        assert_same_tensors(again.tensors, model.tensors)


def test_what_is_no_slot_is_refused_by_name(portable, tmp_path):
    config = dataclasses.replace(portable().config, hidden_act="gelu_new")
    sources.write(portable("encoder", config=config), "google", tmp_path / "1")
    prefix = str(tmp_path / "1/bert_model.ckpt")
    tensors = checkpoint_files.read(prefix)
    odd = {
        "bert/embeddings/scale": np.float32(2),
        "bert/embeddings/more": np.zeros(3, np.float32),
        "adapter/kernel": np.zeros((2, 2), np.float32),
    }
    checkpoint_files.write(prefix, tensors | odd)
    with pytest.raises(UserError) as error:
        sources.read(tmp_path / "1")
    for name in odd:
        assert f"not part of a BERT: {name} " in str(error.value)


@pytest.mark.parametrize("kind", sources.WRITERS)
def test_config_and_tokenizer_need_no_weights(
    kind, portable, tmp_path, monkeypatch
):
    """Fine-tuning asks for both before it reads hundreds of megabytes."""
    config = dataclasses.replace(portable().config, hidden_act="gelu_new")
    model = portable("encoder", config=config)
    sources.write(model, kind, tmp_path / "x")

    def never(*args):
        raise AssertionError("weights were read")

    for module in (safetensors_files, hdf5_files):
        name = "read" if module is hdf5_files else "read_file"
        monkeypatch.setattr(module, name, never)
    monkeypatch.setattr(checkpoint_files, "read", never)
    found = sources.read_config(tmp_path / "x")
    assert found.hidden_act == config.hidden_act
    tokenizer = sources.read_tokenizer(tmp_path / "x")
    assert tuple(tokenizer.vocabulary) == model.vocabulary.tokens
    assert sources.has_tokenizer(tmp_path / "x")
    with pytest.raises(AssertionError, match="weights were read"):
        sources.read(tmp_path / "x")
