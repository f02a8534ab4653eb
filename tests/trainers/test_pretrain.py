"""`tfbert pretrain` as a user runs it: resume, signals, strategies, errors."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file, save_file

import tfbert
from tfbert.errors import UserError
from tfrecords.batches.unigrams import unigram_entropy
from tfrecords.storage.reader import Records
from trainers import pretrain, records
from trainers.checkpoints.files import describe_file

TOKENS = (
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."]
    + "the sea ship sails over dark water while wind blows".split()
    + list("abcdefghijklmnopqrstuvwxyz")
    + [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
)
SHAPE = {
    "model.preset": "tiny",
    "model.num_hidden_layers": 1,
    "model.hidden_size": 32,
    "model.intermediate_size": 64,
    "model.max_position_embeddings": 32,
}
STEPS = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Records of a small text, with some held out."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    documents = [
        " ".join(rng.choice(TOKENS[6:15], rng.integers(5, 60))) + "."
        for _ in range(300)
    ]
    (folder / "text.txt").write_text("\n\n".join(documents))
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    build = "--max_length 32 --held_out 0.1 --processes 1".split()
    records.main(
        ["--input", str(folder / "text.txt")]
        + ["--vocab", str(folder / "vocab.txt")]
        + ["--output", str(folder / "records"), *build]
    )
    return folder


def options(data, run_dir, **changes):
    """The command line; dots of setting names are written as __."""
    settings = {
        **SHAPE,
        "data.records": data / "records",
        "data.masking.max_predictions": 5,
        "optimization.batch_size": 8,
        "optimization.steps": STEPS,
        "optimization.warmup_steps": 4,
        "optimization.learning_rate": 1e-3,
        "runtime.run_dir": run_dir,
        "runtime.evaluate_every": 10,
        "runtime.checkpoint_every": 6,
        "runtime.log_every": 2,
    }
    settings |= {k.replace("__", "."): v for k, v in changes.items()}
    return [text for k, v in settings.items() for text in (f"--{k}", str(v))]


def without_dropout():
    return {
        "model__hidden_dropout_prob": 0.0,
        "model__attention_probs_dropout_prob": 0.0,
    }


def start(arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "trainers.pretrain", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def final_weights(run_dir, step=STEPS, name="model"):
    path = run_dir / "checkpoints" / f"step-{step:08d}" / f"{name}.safetensors"
    return load_file(path)


def rows(run_dir, split):
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    keep = ("step", "loss", "masked_lm_accuracy", "gradient_norm")
    return [
        {name: row[name] for name in keep if name in row}
        for row in found
        if row["split"] == split
    ]


def wait_for_step(process, run_dir, step):
    """Waits until a checkpoint of `step` or later lies there."""
    for _ in range(1200):
        found = [
            int(path.name.split("-")[1])
            for path in (run_dir / "checkpoints").glob("step-*")
        ]
        if max(found, default=-1) >= step:
            return
        if process.poll() is not None:
            raise AssertionError(process.stdout.read())
        time.sleep(0.05)
    raise AssertionError("no checkpoint came")


@pytest.fixture(scope="module")
def reference(data, tmp_path_factory):
    """A run that nothing happened to."""
    run_dir = tmp_path_factory.mktemp("runs") / "reference"
    pretrain.main(options(data, run_dir))
    return run_dir


def assert_same_run(run_dir, reference):
    for name in ("model", "optimizer"):
        wanted = final_weights(reference, name=name)
        found = final_weights(run_dir, name=name)
        assert wanted.keys() == found.keys()
        for key, value in wanted.items():
            np.testing.assert_array_equal(found[key], value, err_msg=key)
    for split in ("train", "validation"):
        assert rows(run_dir, split) == rows(reference, split)


def test_a_run_learns_and_leaves_what_it_promises(reference):
    validation = rows(reference, "validation")
    assert [row["step"] for row in validation] == [0, 10, 20, 24]
    # Before training the loss is that of a guess.
    assert validation[0]["loss"] == pytest.approx(np.log(len(TOKENS)), abs=0.2)
    assert validation[-1]["loss"] < validation[0]["loss"] - 0.5
    assert [row["step"] for row in rows(reference, "train")] == list(
        range(2, STEPS + 1, 2)
    )
    kept = sorted(p.name for p in (reference / "checkpoints").iterdir())
    assert kept == ["step-00000012", "step-00000018", "step-00000024"]
    settings = yaml.safe_load((reference / "settings.yaml").read_text())
    assert settings["optimization"]["steps"] == STEPS
    about = json.loads((reference / "run.json").read_text())
    assert about["kind"] == "pretraining"
    encoder = tfbert.load_encoder(reference)
    stored = final_weights(reference)["encoder/embeddings/token_embeddings"]
    np.testing.assert_array_equal(
        np.array(encoder.embeddings.token_embeddings), stored
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_saves_and_the_same_command_goes_on(
    data, tmp_path, capsys, number, status
):
    run_dir = tmp_path / "run"
    long = {"optimization__steps": 4000, "runtime__checkpoint_every": 5}
    process = start(options(data, run_dir, **long))
    wait_for_step(process, run_dir, 5)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == status, said
    match = re.search(r"Stopped at step (\d+) of 4000; saved (\S+)\.", said)
    step = int(match[1])
    assert final_weights(run_dir, step)
    assert "The same command goes on" in said
    # On with it, and from there; a few steps more are enough to see.
    total = step + 3
    change = {"optimization__steps": total}
    with pytest.raises(UserError, match=r"optimization\.steps: the run has"):
        pretrain.main(options(data, run_dir, **{**long, **change}))
    change["runtime__allow_change"] = "[optimization.steps]"
    pretrain.main(options(data, run_dir, **{**long, **change}))
    assert f"Resuming at step {step} of {total}" in capsys.readouterr().out
    assert final_weights(run_dir, total)


@pytest.mark.long
def test_damaged_checkpoints_are_passed_over_then_refused(
    data, tmp_path, capsys, reference
):
    run_dir = tmp_path / "run"
    pretrain.main(options(data, run_dir))
    newest, middle, oldest = sorted(
        (run_dir / "checkpoints").iterdir(), reverse=True
    )
    content = bytearray((newest / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (newest / "model.safetensors").write_bytes(content)
    (middle / "checkpoint.json").unlink()
    # Clocks do not matter: the oldest is the youngest file now.
    os.utime(oldest)
    capsys.readouterr()
    pretrain.main(options(data, run_dir))
    said = capsys.readouterr().out
    assert f"passed over a checkpoint: {newest}/model.safetensors is" in said
    assert f"{middle}/checkpoint.json cannot be read" in said
    assert "Resuming at step 12 of 24" in said
    entropy = unigram_entropy(Records(data / "records"))
    assert f"Token frequencies alone give a loss of {entropy:.2f} nats" in said
    assert_same_run(run_dir, reference)

    assert (run_dir / "checkpoints" / f"damaged-{STEPS:08d}").is_dir()
    for folder in (run_dir / "checkpoints").glob("step-*"):
        (folder / "optimizer.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="no checkpoint in .* is intact"):
        pretrain.main(options(data, run_dir))


@pytest.mark.long
def test_two_replicas_and_micro_batches_give_the_same_run(data, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    pretrain.main(options(data, one, **without_dropout()))
    pretrain.main(
        options(
            data,
            two,
            runtime__devices=2,
            optimization__accumulation_steps=2,
            **without_dropout(),
        )
    )
    assert_close(two, one)


@pytest.mark.long
def test_two_processes_give_the_same_run(data, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    pretrain.main(options(data, one, **without_dropout()))
    workers = []
    with socket.socket() as first, socket.socket() as second:
        for sock in (first, second):
            sock.bind(("localhost", 0))
        ports = [sock.getsockname()[1] for sock in (first, second)]
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    for index in range(2):
        task = {"type": "worker", "index": index}
        text = json.dumps({"cluster": cluster, "task": task})
        arguments = options(data, two, **without_dropout())
        workers.append(start(arguments, TF_CONFIG=text))
    said = [worker.communicate(timeout=300)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert "2 replicas on 2 workers (this is 0)" in said[0]
    assert "step 24/24" not in said[1]
    assert_close(two, one)


def assert_close(run_dir, reference):
    wanted, found = final_weights(reference), final_weights(run_dir)
    for key, value in wanted.items():
        np.testing.assert_allclose(found[key], value, atol=1e-5, err_msg=key)
    for split in ("train", "validation"):
        pairs = zip(rows(run_dir, split), rows(reference, split), strict=True)
        for a, b in pairs:
            assert a == pytest.approx(b, rel=1e-5, abs=1e-6)


@pytest.mark.long
def test_bfloat16_xla_and_loops_train(data, tmp_path):
    run_dir = tmp_path / "run"
    pretrain.main(
        options(
            data,
            run_dir,
            optimization__steps=12,
            runtime__precision="bfloat16",
            runtime__xla="true",
            runtime__steps_per_loop=2,
        )
    )
    losses = [row["loss"] for row in rows(run_dir, "validation")]
    assert losses[-1] < losses[0]
    weights = final_weights(run_dir, 12)
    assert {str(value.dtype) for value in weights.values()} == {"float32"}


@pytest.mark.long
def test_starting_from_another_run(data, tmp_path, capsys, reference):
    run_dir = tmp_path / "run"
    change = {"model__init_from": reference, "optimization__steps": 5}
    pretrain.main(options(data, run_dir, **change))
    first = rows(run_dir, "validation")[0]["loss"]
    # Encoder and head are the other run's last ones.
    assert first == pytest.approx(rows(reference, "validation")[-1]["loss"])
    told = capsys.readouterr().out
    assert f"Weights from {reference} (a run or folder of tfbert)" in told
    change["model__hidden_size"] = 64
    with pytest.raises(UserError, match="another shape"):
        pretrain.main(options(data, tmp_path / "other", **change))
    # The mistake left no run behind that would stand in the way.
    change = {"optimization__steps": 5, "model__hidden_size": 64}
    pretrain.main(options(data, tmp_path / "other", **change))


def test_weights_for_another_vocabulary_are_refused(data, tmp_path, reference):
    other = tmp_path / "weights"
    shutil.copytree(reference, other)
    tokens = TOKENS[:5] + TOKENS[:4:-1]
    (other / "vocab.txt").write_text("\n".join(tokens) + "\n")
    change = {"model__init_from": other, "optimization__steps": 5}
    with pytest.raises(UserError, match=r"whose vocab\.txt .* is another"):
        pretrain.main(options(data, tmp_path / "run", **change))


def test_resuming_as_another_model_is_refused(data, reference):
    with pytest.raises(UserError) as caught:
        pretrain.main(options(data, reference, model__hidden_size=64, seed=7))
    message = str(caught.value)
    assert "model.hidden_size: the run has 32, now 64" in message
    assert "seed: the run has 0, now 7" in message
    assert_same_run(reference, reference)


def test_print_config_can_be_given_back(data, tmp_path, capsys):
    with pytest.raises(SystemExit):
        pretrain.main([*options(data, tmp_path / "run"), "--print_config"])
    text = capsys.readouterr().out
    path = tmp_path / "config.yaml"
    path.write_text(text)
    parser = pretrain.build_parser()
    settings = parser.parse_args(["--config", str(path), "--seed", "9"])
    assert settings.model.hidden_size == 32
    assert settings.seed == 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimization__learningrate": 1}, "optimization.learning_rate'"),
        ({"optimization__steps": "many"}, "optimization.steps"),
        ({"optimization__steps": 0}, "optimization.steps above 0, got 0"),
        ({"optimization__warmup_steps": 99}, "warmup_steps"),
        ({"optimization__accumulation_steps": 3}, "3 divides, got 8"),
        ({"runtime__steps_per_loop": 0}, "runtime.steps_per_loop above 0"),
        ({"runtime__allow_change": "[model.hiddensize]"}, "hidden_size'"),
        ({"model__num_attention_heads": 5}, "5"),
        ({"model__max_position_embeddings": 16}, "at most model.max_pos"),
        ({"data__records": "nowhere"}, "nowhere"),
        ({"data__held_out": "nowhere"}, "nowhere"),
        ({"runtime__keep_best": -1}, "runtime.keep_best from 0, got -1"),
        ({"runtime__spike__window": 0}, "runtime.spike.window from 8"),
        ({"data__evaluation_rows": 0}, "data.evaluation_rows above 0"),
        ({"data__masking__max_predictions": 1000}, "have at most 30 that can"),
        ({"optimization__batch_size": 4096}, "at least one batch of 4096"),
    ],
    ids=str,
)
def test_mistakes_get_one_clear_message(data, reference, changes, message):
    run_dir = reference / "new"
    with pytest.raises(UserError, match=re.escape(message)):
        pretrain.main(options(data, run_dir, **changes))


def test_a_folder_in_use_and_a_file_are_refused(data, tmp_path):
    (tmp_path / "thesis.tex").write_text("irreplaceable")
    with pytest.raises(UserError, match=r"'thesis\.tex' and no settings"):
        pretrain.main(options(data, tmp_path))
    with pytest.raises(UserError, match="got the file"):
        pretrain.main(options(data, tmp_path / "thesis.tex"))
    (tmp_path / "run" / "checkpoints" / "step-00000001").mkdir(parents=True)
    (tmp_path / "run" / "settings.yaml").write_text("a: [")
    with pytest.raises(UserError, match="wanted the settings of a run"):
        pretrain.main(options(data, tmp_path / "run"))


def test_weights_of_another_model_in_a_checkpoint_are_named(
    data, tmp_path, reference
):
    run_dir = tmp_path / "run"
    pretrain.main(options(data, run_dir, optimization__steps=6))
    path = run_dir / "checkpoints" / "step-00000006" / "model.safetensors"
    weights = load_file(path)
    weights["stranger"] = weights.pop("masked_lm/output_bias")
    save_file(weights, path)
    state = json.loads((path.parent / "checkpoint.json").read_text())
    state["files"][path.name] = describe_file(path)
    (path.parent / "checkpoint.json").write_text(json.dumps(state))
    with pytest.raises(UserError, match="missing: masked_lm/output_bias"):
        pretrain.main(options(data, run_dir, optimization__steps=6))
