"""The verb: map of names, checks, report, and runs that start from it."""

import dataclasses
import importlib.util
import json
import pathlib
import types

import numpy as np
import pytest

import tfbert
from tfbert import files
from tfbert.converters import peers, sources
from tfbert.errors import UserError
from tfbert.serving.package import versions as serving_export
from tfbert.tasks import PretrainingTask
from tfbert.weights.portable_model import Pooling
from trainers import convert, export, finetune
from trainers.finetuning.settings import FinetuningModel
from trainers.run import api
from trainers.settings.sections import ModelSettings


def test_a_run_goes_out_and_comes_back(single_run, tmp_path, capsys):
    out = tmp_path / "hf"
    convert.main(
        [str(single_run), "--output", str(out), "--to", "huggingface", "--map"]
    )
    told = capsys.readouterr().out
    assert "a run or folder of tfbert, classification" in told
    query = "encoder/block_{}/attention/query_key_value/kernel [32x96] -> bert"
    assert query.format(0) in told and query.format(1) in told
    assert "tfbert, read back against tfbert: largest difference 0" in told
    report = json.loads((out / "convert.json").read_text())
    assert report["labels"] == ["bad", "good", "très bien"]
    assert report["checks"][0]["differences"]["logits"] == 0
    has_torch = importlib.util.find_spec("torch") is not None
    assert ("skipped" in report["checks"][-1]) != has_torch
    names = {row["ours"]: row for row in report["names"]}
    assert names["classifier/bias"]["target"] == ["classifier.bias"]
    assert "`tfbert convert`" in (out / "README.md").read_text()
    back = tmp_path / "run"
    convert.main([str(out), "--output", str(back)])
    short = capsys.readouterr().out
    assert f"{len(names):,} tensors (--map prints each" in short
    line = "bert.encoder.layer.* -> encoder/block_* -> encoder/*: "
    assert line in short and " in 2 blocks, " in short
    assert "classifier.* -> classifier -> classifier/*: 2 tensors" in short
    assert len(short.splitlines()) < 15
    before, after = sources.read(single_run), sources.read(back)
    assert after.labels == before.labels
    for name, value in before.tensors.items():
        np.testing.assert_array_equal(after.tensors[name], value)


@pytest.mark.parametrize("to", ["keras_hub", "google"])
def test_other_formats_tell_what_changes(single_run, tmp_path, to, capsys):
    report = convert.convert(str(single_run), str(tmp_path / "out"), to)
    assert any("tanh" in note for note in report["notes"])
    # Neither format has a place for label names.
    assert any("bad, good, très bien" in note for note in report["notes"])
    assert report["config"]["hidden_act"] == "gelu_new"
    if to == "keras_hub" and importlib.util.find_spec("keras_hub"):
        check = report["checks"][1]
        assert check["first"].startswith("keras_hub")
        assert max(check["differences"].values()) < 1e-4
    bare = convert.convert(
        str(single_run), str(tmp_path / "bare"), to, True, "cased"
    )
    assert bare["task"] == "encoder" and bare["labels"] is None
    if to == "keras_hub":
        assert not sources.read(tmp_path / "bare").vocabulary.lowercase


def test_five_lines_of_python_load_a_run(single_run, tmp_path, monkeypatch):
    """Those of docs/weights.md."""
    page = pathlib.Path(__file__).parents[2] / "docs/weights.md"
    section = page.read_text("utf-8").split("in five lines of Python")[1]
    code = section.split("```python\n")[1].split("```")[0]
    lines = [line for line in code.split("\n") if line and "import" not in line]
    assert len(lines) <= 5
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/mini").symlink_to(single_run)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    assert names["vectors"].shape == (1, 16, 32)


def test_nothing_is_written_when_something_is_wrong(
    single_run, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    compare = peers.compare

    def spoilt(first, second, batch):
        found = compare(first, second, batch)
        found.differences["logits"] = 0.5
        return found

    monkeypatch.setattr(peers, "compare", spoilt)
    with pytest.raises(UserError, match="computes something else"):
        convert.convert(str(single_run), str(out), "huggingface")
    monkeypatch.undo()
    outputs = peers.our_outputs

    def broken(model, batch):
        found = outputs(model, batch)
        return found | {"logits": np.full_like(found["logits"], np.nan)}

    # NaN equals nothing, and is above no tolerance.
    for answer in (broken, lambda model, batch: {}):
        monkeypatch.setattr(peers, "our_outputs", answer)
        with pytest.raises(UserError, match="computes something else"):
            convert.convert(str(single_run), str(out), "huggingface")
        monkeypatch.undo()
    with pytest.raises(UserError, match="no folder"):
        convert.convert(str(tmp_path / "none"), str(out), "huggingface")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="run.json is a file, and a folder"):
        convert.convert(
            str(single_run), str(single_run / "run.json" / "x"), "huggingface"
        )
    out.mkdir()
    with pytest.raises(UserError, match="exists already"):
        convert.convert(str(single_run), str(out), "huggingface")
    assert not list(tmp_path.glob(files.TEMPORARY_PREFIX + "*"))


@pytest.mark.parametrize("name", ["sequence_output", "logits"])
def test_numbers_that_are_not_finite_prove_nothing(
    name, single_run, tmp_path, monkeypatch
):
    """Whichever output it is: max(0.0, nan) is 0.0."""
    outputs = peers.our_outputs

    def spoilt(model, batch):
        return {**outputs(model, batch), name: np.full((3, 2), np.nan)}

    monkeypatch.setattr(peers, "our_outputs", spoilt)
    with pytest.raises(UserError, match="computes something else"):
        convert.convert(str(single_run), str(tmp_path / "out"), "tfbert")
    assert list(tmp_path.iterdir()) == []


def test_fine_tuning_starts_from_a_foreign_folder(
    single_run, single_data, tmp_path, capsys
):
    convert.convert(str(single_run), str(tmp_path / "hf"), "huggingface")
    run = tmp_path / "run"
    settings = {
        "model.init_from": tmp_path / "hf",
        "model.max_position_embeddings": 30,
        "data.train": single_data,
        "data.max_length": 16,
        "optimization.steps": 1,
        "optimization.warmup_steps": 0,
        "optimization.learning_rate": 1e-12,
        "runtime.run_dir": run,
    }
    finetune.main([w for k, v in settings.items() for w in (f"--{k}", str(v))])
    told = capsys.readouterr().out
    assert f"Weights from {tmp_path / 'hf'} (a Hugging Face folder)" in told
    assert "position table cut: 40 -> 30" in told
    before = tfbert.load_encoder(tmp_path / "hf")
    after = tfbert.load_encoder(run)
    np.testing.assert_allclose(
        after.embeddings.token_embeddings.numpy(),
        before.embeddings.token_embeddings.numpy(),
        atol=1e-6,
    )
    np.testing.assert_allclose(
        after.embeddings.position_embeddings.numpy(),
        before.embeddings.position_embeddings.numpy()[:30],
        atol=1e-6,
    )


def test_pretraining_goes_on_with_a_longer_vocabulary(
    single_run, vocabulary, tmp_path, capsys
):
    """As `tfbert vocab --extend` and `tfbert records` make it."""
    hf = tmp_path / "hf"
    convert.convert(str(single_run), str(hf), "huggingface", encoder_only=True)
    tokens = [*vocabulary, "warmth", "##ness"]
    settings = ModelSettings(init_from=str(hf), max_position_embeddings=64)
    config = settings.bert_config(vocab_size=len(tokens))
    assert config.hidden_size == 32 and config.vocab_size == len(tokens)
    model = types.SimpleNamespace(task=PretrainingTask(config))
    api.initialise(model, str(hf), tokens)
    told = capsys.readouterr().out
    assert "2 tokens added" in told and "lengthened by copies: 40 -> 64" in told
    table = model.task.encoder.embeddings.token_embeddings.numpy()
    before = tfbert.load_encoder(hf).embeddings.token_embeddings.numpy()
    np.testing.assert_array_equal(table[:-2], before)
    api.initialise(model, None, tokens)
    with pytest.raises(UserError, match="model.hidden_size is 256"):
        ModelSettings(init_from=str(hf), preset="mini").bert_config(99)


def test_an_export_pools_as_the_sentence_transformer_did(
    single_run, tmp_path, monkeypatch
):
    model = sources.encoder_only(sources.read(single_run))
    monkeypatch.setattr(
        serving_export, "write_version", lambda _, output, card, about: card
    )
    for mode in ("cls", "max", "median"):
        pooled = dataclasses.replace(model, pooling=Pooling(mode, max_length=9))
        sources.write(pooled, "tfbert", tmp_path / mode)
    card = export.write_export(tmp_path / "cls", tmp_path / "out")
    assert (card["pooling"], card["max_length"]) == ("cls", 9)
    card = export.write_export(tmp_path / "max", tmp_path / "out")
    assert (card["pooling"], card["max_length"]) == ("max", 9)
    with pytest.raises(UserError, match="'median', which an export cannot"):
        export.write_export(tmp_path / "median", tmp_path / "out")
    card = export.write_export(
        tmp_path / "median", tmp_path / "out", pooling="mean"
    )
    assert (card["pooling"], card["max_length"]) == ("mean", 40)


@pytest.mark.long
def test_fine_tuning_starts_from_a_padded_table(
    single_run, single_data, tmp_path
):
    """A table of 8 more rows than tokens, as others pad theirs."""
    model = sources.read(single_run)
    name = "encoder/embeddings/token_embeddings"
    table = np.pad(model.tensors[name], ((0, 8), (0, 0)))
    config = dataclasses.replace(model.config, vocab_size=len(table))
    model = dataclasses.replace(
        model, config=config, tensors={**model.tensors, name: table}
    )
    sources.write(model, "huggingface", tmp_path / "hf")
    start = FinetuningModel(init_from=str(tmp_path / "hf"))
    size = len(model.vocabulary.tokens)
    assert start.encoder_config(size).vocab_size == size
    with pytest.raises(UserError, match=f"knows {size} tokens, the tokenizer"):
        start.encoder_config(size - 1)
    finetune.main(
        [
            f"--model.init_from={tmp_path / 'hf'}",
            f"--data.train={single_data}",
            f"--runtime.run_dir={tmp_path / 'run'}",
            "--data.max_length=16",
            "--optimization.epochs=1",
            "--optimization.batch_size=8",
        ]
    )
    assert sources.read(tmp_path / "run").config.vocab_size == size
