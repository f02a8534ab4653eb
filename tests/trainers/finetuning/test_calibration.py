"""From validation to the export: probabilities with a temperature."""

import json
import random
import shutil

import numpy as np
import pytest

from trainers import export
from trainers.checkpoints.best import read_best, write_best
from trainers.files.run_folder import RunFolder
from trainers.finetuning import calibration, evaluation, finetune
from trainers.finetuning.run import Run
from trainers.finetuning.saved_run import FinetunedRun
from trainers.reports import errors
from trainers.reports.served.asking import load_model

MEASURED = {"temperature": 2.5, "calibration_error": 0.2}
MEASURED |= {"calibrated_error": 0.05, "accuracy": 0.5}


@pytest.fixture(scope="module")
def calibrated(single_run, tmp_path_factory):
    """A run whose validation has found a temperature."""
    path = tmp_path_factory.mktemp("calibrated") / "run"
    shutil.copytree(single_run, path)
    run = FinetunedRun(path)
    write_best(path / "best.safetensors", run.load_task().task, 7, MEASURED)
    about = json.loads((path / "run.json").read_text())
    about["validation_examples"] = 100
    (path / "run.json").write_text(json.dumps(about))
    return path


def values(answers):
    return np.array([list(a["probabilities"].values()) for a in answers])


def softened(probabilities, temperature):
    powers = probabilities ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.long
def test_the_export_is_calibrated(calibrated, single_data, tmp_path):
    texts = ["a warm and funny film", "so dull", "it is not funny"]
    on = export.write_export(calibrated, tmp_path / "on")
    off = export.write_export(calibrated, tmp_path / "off", calibrate=False)
    found, plain = (
        list(load_model(version).answer([(text,) for text in texts]))
        for version in (on, off)
    )
    np.testing.assert_allclose(
        values(found), softened(values(plain), 2.5), atol=1e-6
    )
    assert np.abs(values(found) - values(plain)).max() > 0.01
    assert [a["label"] for a in found] == [a["label"] for a in plain]
    card = json.loads((on / "assets.extra/model.json").read_text())
    assert card["temperature"] == 2.5
    said = (on / "MODEL_CARD.md").read_text()
    assert "Calibration" in said and "2.5" in said
    assert "0.2000" in said and "0.0500" in said and "100 examples" in said
    assert "asked to leave it" in (off / "MODEL_CARD.md").read_text()
    # Python and the evaluator say the same.
    run = Run(calibrated)
    for answers, wanted in (
        (run.predict(texts), found),
        (run.predict(texts, calibrate=False), plain),
    ):
        np.testing.assert_allclose(values(answers), values(wanted), atol=1e-6)
    evaluation.evaluate(calibrated, single_data, "x")
    lines = (calibrated / "predictions-x.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    served = load_model(on).answer([tuple(row["text"]) for row in rows])
    np.testing.assert_allclose(
        [row["probabilities"] for row in rows], values(served), atol=1e-5
    )
    facts = json.loads((calibrated / "evaluation-x.json").read_text())
    assert facts["temperature"] == 2.5
    page = errors.section(calibrated, RunFolder(calibrated).evaluations)
    assert "not calibrated it would be" in page


def test_other_weights_are_not_calibrated(calibrated):
    run = FinetunedRun(calibrated)
    trained = run.load_task()
    assert run.answering(trained).temperature == 2.5
    assert run.answering(trained, calibrate=False).temperature == 1.0
    last = type(trained)(trained.task, 9, calibrated / "checkpoints/step-9")
    assert run.answering(last).temperature == 1.0
    # Nor does run.json tell of what is the weights'.
    assert "temperature" not in run.answering(trained).about()


def test_what_is_told():
    told = calibration.told
    assert told({"accuracy": 0.5}, 100) == {}
    few = told({"calibration_error": 0.1}, 12)
    assert "12 examples, and 30 are the least" in few["temperature"]
    right = told({"calibration_error": 0.1}, 100)["temperature"]
    assert "every answer to the validation file is right" in right
    assert "bound" in told(MEASURED | {"temperature": 10.0}, 9)["temperature"]
    assert told(MEASURED, 100)["temperature"] == "2.5"


WORDS = "bad dull fun good was film".split()


@pytest.mark.parametrize(
    "kind",
    ["classification", pytest.param("multi_label", marks=pytest.mark.long)],
)
def test_training_finds_a_temperature(kind, tmp_path, vocabulary, caplog):
    """Of labels that are wrong by chance, learnt by heart, it is above 1."""
    from tfbert.text.tokenizer import Tokenizer

    Tokenizer(vocabulary).save(tmp_path / "tokenizer")
    draw = random.Random(0)
    rows = [
        {
            "text": " ".join(draw.choices(WORDS, k=5)),
            "label": draw.choice(["a", "b"]),
        }
        for _ in range(64)
    ]
    run = finetune(
        kind,
        train=rows[:24],
        validation=rows[24:],
        run_dir=tmp_path / "run",
        preset="tiny",
        model={
            **{"num_hidden_layers": 1, "hidden_size": 32},
            **{"num_attention_heads": 2, "intermediate_size": 32},
            **{"max_position_embeddings": 16, "initializer_range": 0.2},
        },
        tokenizer=tmp_path / "tokenizer",
        max_length=12,
        batch_size=8,
        learning_rate=0.02,
        steps=12,
        precision="float32",
    )
    best = read_best(tmp_path / "run" / "best.safetensors")
    assert 1.5 < best["temperature"] <= 10
    assert best["calibrated_error"] < best["calibration_error"]
    assert run.figures["validation_temperature"] == best["temperature"]
    texts = [row["text"] for row in rows[24:]]
    plain, found = (run.predict(texts, calibrate=on) for on in (False, True))
    key = "label" if kind == "classification" else "labels"
    assert [a[key] for a in plain] == [a[key] for a in found]
    if kind == "multi_label":
        logits = [np.log(p / (1 - p)) for p in (values(plain), values(found))]
        np.testing.assert_allclose(
            logits[0], logits[1] * best["temperature"], rtol=1e-2, atol=1e-3
        )
        # A label is answered where it has more than one half, as before.
        for answer in found:
            over = {n for n, p in answer["probabilities"].items() if p > 0.5}
            assert over == set(answer["labels"])
