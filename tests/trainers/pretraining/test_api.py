"""`pretrain` from Python: text or records in, a run out."""

import pathlib

import keras
import numpy as np
import pytest

import tfbert
from tfbert.errors import UserError
from trainers.pretraining import pretrain, text_input

TINY = {
    "num_hidden_layers": 1,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 16,
}
TEXTS = [
    f"the {a} film was {b}, and the {b} story was {a} too"
    for a in ("good", "bad", "dull", "funny")
    for b in ("warm", "long", "new", "old")
]


def quick(data, **keywords):
    given = {
        "preset": "tiny",
        "model": TINY,
        "steps": 2,
        "precision": "float32",
        "max_length": 16,
        "vocab_size": 90,
    }
    return pretrain(data, **(given | keywords))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return quick(
        TEXTS, run_dir=tmp_path_factory.mktemp("api") / "run", held_out=0.2
    )


def test_lists_of_texts_become_a_run(run):
    assert isinstance(run.model, keras.Model)
    assert run.figures["step"] == 2 and "masked_lm_loss" in run.figures
    assert len(run.history["loss"]) == 1
    beside = run.run_dir.with_name("run-data")
    assert {path.suffix for path in beside.iterdir()} == {
        "",
        ".vocab",
        ".jsonl",
    }
    encoder = tfbert.load_encoder(run.run_dir)
    assert encoder.config.vocab_size <= 90


@pytest.mark.long
def test_it_embeds_fills_and_exports(run, tmp_path):
    vectors = run.embed(TEXTS[:3])
    assert vectors.shape == (3, 16) and vectors.dtype == np.float32
    [[guesses], []] = run.fill_mask(["the [MASK] film", "no mask"])
    assert guesses[0]["score"] >= guesses[1]["score"]
    assert isinstance(guesses[0]["token"], str)
    assert run.embed([]).shape[0] == 0
    scores = run.score(TEXTS[:2])
    assert scores.shape == (2,) and (scores < 0).all()
    version = run.export(tmp_path / "out")
    assert (version / "saved_model.pb").is_file()
    with pytest.raises(UserError, match="no signature 'fil_mask'"):
        run.predict(["a"], "fil_mask")


def test_the_same_text_is_built_once(run, monkeypatch):
    monkeypatch.setattr(text_input, "build_records", None)
    again = quick(TEXTS, run_dir=run.run_dir, held_out=0.2)
    assert again.figures == run.figures and again.history == {}


def test_records_and_files_are_taken(run, small_corpus, tmp_path):
    records = small_corpus / "records"
    of_records = quick(records, run_dir=tmp_path / "a", batch_size=8)
    assert "masked_lm_loss" in of_records.figures  # records/held_out
    assert not (tmp_path / "a-data").exists()
    of_files = quick(
        [small_corpus / "text.txt"],
        vocab=small_corpus / "vocab.txt",
        run_dir=tmp_path / "b",
        batch_size=8,
    )
    vocabulary = (of_files.run_dir / "vocab.txt").read_text()
    assert vocabulary == (small_corpus / "vocab.txt").read_text()


def test_the_vocabulary_is_that_of_the_weights(run, tmp_path):
    more = pretrain(
        TEXTS,
        init_from=run.run_dir,
        steps=1,
        max_length=16,
        run_dir=tmp_path / "run",
        precision="float32",
    )
    ours, theirs = (r.run_dir / "vocab.txt" for r in (more, run))
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize(
    "data,keywords,message",
    [
        (None, {}, "wanted a folder of records, .* got None"),
        ([], {}, "got an empty list"),
        ("nowhere", {}, "there is no file or folder 'nowhere'"),
        ([pathlib.Path("nowhere")], {}, "nowhere"),
        ([7], {}, "got 7 at place 0"),
        (TEXTS, {"held_out": 2}, "share from 0 to below 1"),
        (TEXTS, {"vocab": "nowhere.txt"}, "nowhere.txt"),
        (TEXTS, {"vocab_size": 3}, "size"),
        (TEXTS, {"stepps": 3}, "nearest is steps"),
        (TEXTS, {"strategy": "span"}, "may be .*data.masking.strategy"),
        (TEXTS, {"max_length": 900}, "max_position_embeddings"),
    ],
)
def test_mistakes_are_told(data, keywords, message, tmp_path):
    with pytest.raises(UserError, match=message):
        quick(data, run_dir=tmp_path / "run", **keywords)


def test_settings_of_one_name_are_dotted():
    from trainers.pretraining.settings import PretrainingSettings
    from trainers.settings.keywords import settings_of

    found = settings_of(
        PretrainingSettings,
        {
            "settings": {"data.masking.strategy": "token"},
            "runtime": {"strategy": "one_device"},
            "runtime.spike": {"window": np.int64(16)},
            "seed": 3,
        },
        "pretrain",
    )
    assert found.data.masking.strategy == "token"
    assert found.runtime.strategy == "one_device"
    assert found.runtime.spike.window == 16 and found.seed == 3


def test_a_dry_run_tells_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    plan = quick(TEXTS, dry_run=True, run_dir=tmp_path / "run")
    assert plan["parameters"] > 1000
    assert plan["seconds"] > plan["step_seconds"] > 0
    assert "Memory of one device" in capsys.readouterr().out
    assert [one.name for one in tmp_path.iterdir()] == ["temporary"]
    assert not any((tmp_path / "temporary").glob("tfbert*"))
