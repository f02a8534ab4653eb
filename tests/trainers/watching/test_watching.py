"""One short pretraining, watched in every way; and one that is not begun."""

import contextlib
import json
import math
import types

import pytest

from trainers import finetune, pretrain
from trainers.planning.dry_run import Timing, decay_of, predicted_seconds

STEPS = 6


def options(corpus, run_dir, *more):
    settings = {
        "model.preset": "tiny",
        "model.hidden_size": 32,
        "model.intermediate_size": 64,
        "data.records": corpus / "records",
        "optimization.batch_size": 8,
        "optimization.steps": STEPS,
        "optimization.warmup_steps": 2,
        "optimization.layer_decay": 0.5,
        "runtime.run_dir": run_dir,
        "runtime.evaluate_every": 3,
        "runtime.checkpoint_every": 2,
        "runtime.log_every": 2,
    }
    words = [text for k, v in settings.items() for text in (f"--{k}", str(v))]
    return [*words, *more]


@pytest.fixture(scope="module")
def run(small_corpus, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "run"
    more = ["--runtime.log_gradient_norms", "true"]
    pretrain.main(options(small_corpus, run_dir, *more))
    return run_dir


@pytest.fixture(scope="module")
def rows(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["split"] == "train"]


def test_the_machine_is_in_the_rows(rows):
    assert [row["step"] for row in rows] == [2, 4, 6]
    last = rows[-1]
    assert 0 < last["mfu"] < 1.5
    assert 0 <= last["data_wait_share"] <= 1
    assert 1e8 < last["host_memory_bytes"] < 1e11
    assert 0 <= last["checkpoint_age_seconds"] < 600
    assert last["eta_seconds"] == 0 < rows[1]["eta_seconds"]


def test_the_norms_of_groups_make_up_the_whole(rows):
    """The gradient is one vector, cut at the groups; each row is one step."""
    groups = ["embeddings", "block_0", "block_1", "heads"]
    names = [f"gradient_norm/{group}" for group in groups]
    for row in rows:
        assert all(row[name] > 0 for name in names)
        # Means over steps: no more than the whole, and no less than a part.
        whole = math.hypot(*(row[name] for name in names))
        assert whole == pytest.approx(row["gradient_norm"], rel=0.05)


def test_masked_examples_are_text_at_each_evaluation(run):
    import tensorflow as tf

    found = {}
    for path in (run / "tensorboard" / "validation").glob("events*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.tag == "masked_examples":
                    texts = tf.make_ndarray(value.tensor)
                    found[event.step] = [text.decode() for text in texts]
    assert sorted(found) == [3, 6]
    table = found[6][0]
    assert table.startswith("| | |\n|---|---|\n| original | [CLS]")
    assert "| masked |" in table and "right) |" in table
    # The originals stay, the predictions need not.
    first, last = (found[step][0].split("\n")[2] for step in (3, 6))
    assert first == last


def test_examples_that_cannot_be_shown_end_nothing(
    small_corpus, tmp_path, capsys
):
    """A task with other outputs; a device that runs no such pass by itself."""
    from tfrecords.masking.masking import Masking
    from tfrecords.storage.legacy_2018 import open_records
    from trainers.watching.masked_examples import MaskedExamples

    held_out = open_records(small_corpus / "records" / "held_out")
    callback = MaskedExamples(tmp_path, held_out, Masking())
    model = types.SimpleNamespace(
        task=lambda batch: {}, averaged=contextlib.nullcontext, step=3
    )
    callback.set_model(model)
    for epoch in range(2):
        callback.on_epoch_end(epoch, {"val_loss": 1.0})
    said = capsys.readouterr().err
    assert (
        said.count("masked_lm_answers") == said.count("Training goes on") == 1
    )


def test_a_dry_run_tells_what_a_run_needs_and_writes_nothing(
    small_corpus, tmp_path, capsys
):
    run_dir = tmp_path / "run"
    pretrain.main(options(small_corpus, run_dir, "--dry_run"))
    out = " ".join(capsys.readouterr().out.split())
    assert not run_dir.exists()
    kernel = "encoder/block_1/feed_forward/output/kernel 64 x 32 2,048 0.01"
    assert f"{kernel} block_1 x 0.5" in out
    norm = "encoder/block_0/attention_layer_norm/gamma 32 32 0 block_0 x 0.25"
    assert norm in out
    assert "parameters" in out and "activations" in out
    assert "Disk:" in out and "free at" in out
    assert "ms a step (median of 5" in out and "tokens/s, MFU" in out
    assert "nothing was written" in out


def test_a_dry_run_of_fine_tuning(small_corpus, single_data, tmp_path, capsys):
    run_dir = tmp_path / "run"
    finetune.main(
        [
            *("--model.preset", "tiny", "--dry_run"),
            *("--data.train", str(single_data), "--data.max_length", "16"),
            *("--data.tokenizer", str(small_corpus / "records")),
            *("--optimization.batch_size", "2"),
            *("--runtime.run_dir", str(run_dir)),
        ]
    )
    out = " ".join(capsys.readouterr().out.split())
    assert not run_dir.exists()
    assert "classifier/kernel 128 x 3 384 0.01 heads x 1" in out
    assert "nothing was written" in out


def test_the_predicted_time_counts_evaluations():
    class settings:
        class optimization:
            steps = 100

        class runtime:
            evaluate_every = 40

    timing = Timing(first=7.0, step=0.5, tokens=1.0, predictions=1.0)
    assert predicted_seconds(timing, settings) == 7 + 50
    # At 0, 40, 80 and 100; a forward pass is a third of a step.
    expected = 7 + 50 + 4 * 6 * 0.5 / 3
    assert predicted_seconds(timing, settings, 6) == pytest.approx(expected)


def test_the_decay_of_a_keras_optimizer():
    import keras

    kernel = keras.Variable([1.0], name="kernel")
    bias = keras.Variable([1.0], name="bias")
    optimizer = keras.optimizers.AdamW(weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    assert decay_of(optimizer, kernel) == 0.1
    assert decay_of(optimizer, bias) == 0.0
    assert decay_of(keras.optimizers.SGD(), kernel) == 0.0
