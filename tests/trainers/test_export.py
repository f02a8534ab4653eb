import json
import shutil
import subprocess
import sys

import c_api
import numpy as np
import pytest
import tensorflow as tf
import yaml

from tfbert.config import BertConfig
from tfbert.converters.loading import load_encoder
from tfbert.errors import UserError
from tfbert.tasks.pretraining import PretrainingTask
from tfbert.text.tokenizer import Tokenizer
from tfbert.weights.variables import save_weights
from trainers import export
from trainers.finetuning import evaluation
from trainers.finetuning.saved_run import FinetunedRun

CLIENT = """
import json, sys
import tensorflow as tf
import tensorflow_text
model = tf.saved_model.load(sys.argv[1])
columns = {k: tf.constant(v) for k, v in json.loads(sys.argv[2]).items()}
answer = model.signatures["serving_default"](**columns)
assert not [m for m in sys.modules if m.startswith(("tfbert", "trainers"))]
print(json.dumps({
    "label": [x.decode() for x in answer["label"].numpy()],
    "probabilities": answer["probabilities"].numpy().tolist(),
}))
"""


@pytest.fixture(scope="module", params=["single", "pair"])
def exported(request, tmp_path_factory):
    """(version folder, its inputs, the offline evaluator's predictions)."""
    run = request.getfixturevalue(f"{request.param}_run")
    data = request.getfixturevalue(f"{request.param}_data")
    evaluation.evaluate(run, data, name="offline", batch_size=3)
    lines = (run / "predictions-offline.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    version = export.write_export(run, tmp_path_factory.mktemp("out") / "name")
    names = ["text"] if request.param == "single" else ["text_a", "text_b"]
    columns = zip(*(row["text"] for row in rows), strict=True)
    inputs = {
        name: list(column) for name, column in zip(names, columns, strict=True)
    }
    return version, inputs, rows


def same(answer, rows):
    assert answer["label"] == [row["predicted"] for row in rows]
    np.testing.assert_allclose(
        answer["probabilities"],
        [row["probabilities"] for row in rows],
        atol=1e-6,
    )


@pytest.mark.long
def test_a_process_without_tfbert_gets_the_offline_answers(exported, tmp_path):
    version, inputs, rows = exported
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(version), json.dumps(inputs)],
        cwd=tmp_path,
        # Without PYTHONPATH and without the working tree on the path.
        env={"TF_CPP_MIN_LOG_LEVEL": "3", "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    same(json.loads(done.stdout), rows)
    # The answers differ, or the comparison would prove nothing.
    assert len({row["predicted"] for row in rows}) > 1


@pytest.mark.long
def test_the_c_api_that_serving_links_gets_the_offline_answers(
    exported, tmp_path
):
    version, inputs, rows = exported
    columns = {
        name: np.array([text.encode() for text in column], object)
        for name, column in inputs.items()
    }
    asked = {version: {"all": ("serving_default", columns)}}
    answer = c_api.ask(asked, tmp_path)[version]["all"]
    answer["label"] = [label.decode() for label in answer["label"]]
    same(answer, rows)


def test_card_and_readme_are_filled_in(exported):
    version, inputs, _ = exported
    card = json.loads((version / "assets.extra/model.json").read_text("utf-8"))
    assert card["inputs"] == list(inputs)
    assert card["labels"] == ["bad", "good", "très bien"]
    assert card["step"] == 7
    readme = (version / "README.md").read_text("utf-8")
    assert f"{version.parent.resolve()}:/models/name" in readme
    assert all(name in readme for name in inputs)


def pretraining_run(single_run, tmp_path):
    """A folder of a run that lacks weights, and that of its checkpoint."""
    run = tmp_path / "run"
    checkpoint = run / "checkpoints" / "step-00000001"
    checkpoint.mkdir(parents=True)
    for name in ("config.json", "vocab.txt", "tokenizer_config.json"):
        (run / name).write_bytes((single_run / name).read_bytes())
    (run / "run.json").write_text('{"kind": "pretraining"}')
    return run, checkpoint


def test_a_pretraining_run_becomes_an_embedder(single_run, tmp_path, capsys):
    from trainers import predict

    run, checkpoint = pretraining_run(single_run, tmp_path)
    # An encoder without the heads of pretraining.
    encoder = load_encoder(single_run)
    save_weights(encoder, checkpoint / "model.safetensors", "encoder/")
    export.main([str(run), "--output", str(tmp_path / "out")])
    assert "written" in capsys.readouterr().out
    predict.main([str(tmp_path / "out"), "a funny film", "", "--json"])
    lines = capsys.readouterr().out.splitlines()
    vectors = np.array([json.loads(line)["embedding"] for line in lines])
    assert vectors.shape == (2, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.long
def test_a_pretraining_run_fills_masks(single_run, tmp_path, capsys):
    from trainers import predict

    run, checkpoint = pretraining_run(single_run, tmp_path)
    task = PretrainingTask(BertConfig.from_json(run / "config.json"), seed=2)
    save_weights(task, checkpoint / "model.safetensors")
    output = str(tmp_path / "out")
    export.main([str(run), "--output", output, "--pooling", "cls"])
    capsys.readouterr()
    texts = ["a [MASK] film was [MASK]", "a film"]
    asked = [output, *texts, "--signature", "fill_mask"]
    predict.main([*asked, "--json"])
    one, none = map(json.loads, capsys.readouterr().out.splitlines())
    assert [len(fills) for fills in one["masks"]] == [5, 5]
    assert none["masks"] == []
    predict.main(asked)
    printed = capsys.readouterr().out
    assert one["masks"][0][0]["token"] in printed
    assert "no [MASK]" in printed
    predict.main([output, "a film", "--signature", "embed", "--json"])
    [line] = capsys.readouterr().out.splitlines()
    got = json.loads(line)["embedding"]
    tokenizer = Tokenizer.from_folder(run)
    batch = tokenizer.encode(["a film"], max_length=4)
    want = np.array(task.encoder(batch)["sequence_output"])[0, 0]
    np.testing.assert_allclose(got, want / np.linalg.norm(want), atol=1e-5)
    with pytest.raises(UserError, match="no signature 'x'; wanted one of emb"):
        predict.main([output, "a", "--signature", "x"])


@pytest.mark.long
def test_bfloat16_is_near_float32(single_run, tmp_path):
    texts = tf.constant(["a warm and funny film", "dull"])
    answers = []
    for precision in ("float32", "bfloat16"):
        version = export.write_export(
            single_run, tmp_path / precision, precision=precision
        )
        model = tf.saved_model.load(str(version))
        answer = model.signatures["serving_default"](text=texts)
        answers.append(answer["probabilities"].numpy())
    assert 0 < np.abs(answers[0] - answers[1]).max() < 0.05


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_stored_weights_tell_what_they_cost(
    dtype, single_run, single_data, tmp_path, capsys
):
    run = tmp_path / "run"
    shutil.copytree(single_run, run)
    settings = {"data": {"validation": str(single_data)}}
    (run / "settings.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    texts = tf.constant(["a warm and funny film", "dull", "FUN"])
    answers, sizes = [], []
    for name in ("float32", dtype):
        output = tmp_path / name
        export.main([str(run), "--output", str(output), "--dtype", name])
        model = tf.saved_model.load(str(output / "1"))
        answer = model.signatures["serving_default"](text=texts)
        answers.append(answer["probabilities"].numpy())
        [data] = (output / "1" / "variables").glob("*.data-*")
        sizes.append(data.stat().st_size)
    assert 0 < np.abs(answers[0] - answers[1]).max() < 0.05
    assert sizes[1] < 0.6 * sizes[0]
    printed = capsys.readouterr().out.replace("\n", " ")
    card = (tmp_path / dtype / "1" / "MODEL_CARD.md").read_text("utf-8")
    for said in ("largest difference of logits: ", "accuracy: "):
        assert said in printed and said in card
    # What is served is the model that was measured.
    task = FinetunedRun(run).load_task().task
    for variable in task.weights:
        rounded = tf.cast(tf.cast(variable.value, dtype), tf.float32)
        variable.assign(rounded)
    batch = Tokenizer.from_folder(run).encode(texts, max_length=16)
    want = tf.nn.softmax(task(batch)["logits"])
    np.testing.assert_allclose(answers[1], want, atol=1e-6)


def test_mistakes_are_named(single_run, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        export.write_export(tmp_path / "none", tmp_path / "out")
    with pytest.raises(UserError, match="is in use: it holds .*config.json"):
        export.write_export(single_run, single_run)
    other = tmp_path / "other"
    other.mkdir()
    (other / "run.json").write_text('{"kind": "cake"}')
    with pytest.raises(UserError, match="not kind 'cake'"):
        export.write_export(other, tmp_path / "out")
    with pytest.raises(UserError, match="run.json is a file, and a folder"):
        export.write_export(single_run, other / "run.json" / "out")
    with pytest.raises(UserError, match="max_masks of 1 or more, got 0"):
        export.main([str(single_run), "--output", "out", "--max_masks", "0"])
    assert not (tmp_path / "out").exists()


def test_a_run_without_checkpoint_is_named(single_run, tmp_path):
    young = tmp_path / "young"
    young.mkdir()
    for path in single_run.iterdir():
        if path.is_file() and path.suffix != ".safetensors":
            (young / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="holds no checkpoint"):
        export.write_export(young, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_model_card_tells_the_runs_facts(exported, single_run, tmp_path):
    version, _, rows = exported
    text = (version / "MODEL_CARD.md").read_text("utf-8")
    headings = [
        line[3:] for line in text.splitlines() if line.startswith("## ")
    ]
    assert headings == [
        "Data",
        "Figures",
        "Training",
        "Weights",
        "Licence",
        "Limits",
    ]
    assert "evaluation-offline.json" not in text
    assert "accuracy" in text and "SHA-256: " in text
    assert "--licence" in text
    version = export.write_export(
        single_run, tmp_path / "name", licence="CC BY 4.0"
    )
    assert "## Licence\n\nCC BY 4.0" in (version / "MODEL_CARD.md").read_text()
