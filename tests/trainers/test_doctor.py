"""The doctor finds planted mistakes, and nothing on a good set-up."""

import importlib.metadata
import json
import shutil
import socket

import pytest
import yaml

from tfbert.config import BertConfig
from tfbert.tasks import PretrainingTask
from tfbert.text.tokenizer import Tokenizer
from tfbert.weights.variables import save_weights
from trainers import doctor
from trainers.checks import machine
from trainers.files import exit_status

EXAMPLES = [
    ("a warm and funny film", "good"),
    ("this story was dull", "bad"),
    ("it is not funny", "bad"),
    ("a good story", "good"),
    ("the plot was very bad", "bad"),
    ("fun for an evening", "good"),
    ("never bored", "good"),
    ("too dull", "bad"),
]


def table(rows):
    return "text\tlabel\n" + "".join(f"{t}\t{y}\n" for t, y in rows)


class Setup:
    """A good set-up in a folder of its own, to be spoilt."""

    def __init__(self, corpus, folder):
        self.folder = folder
        self.records = folder / "records"
        shutil.copytree(corpus / "records", self.records)
        shutil.copy(corpus / "vocab.txt", folder / "vocab.txt")
        (folder / "train.tsv").write_text(table(EXAMPLES))
        held_out = [("a very warm plot", "good"), ("a bad film", "bad")]
        (folder / "validation.tsv").write_text(table(held_out))
        self.pretraining = {
            "model": {"preset": "tiny"},
            "data": {"records": str(self.records)},
            "optimization": {
                "batch_size": 8,
                "steps": 20,
                "warmup_steps": 2,
                "learning_rate": 1e-3,
            },
            "runtime": {"run_dir": str(folder / "run")},
        }
        self.finetuning = {
            "model": {"preset": "tiny"},
            "data": {
                "train": str(folder / "train.tsv"),
                "validation": str(folder / "validation.tsv"),
                "max_length": 16,
                "tokenizer": str(self.records),
            },
            "optimization": {"batch_size": 4},
            "runtime": {"run_dir": str(folder / "finetuned")},
        }

    def examine(self, settings):
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(settings))
        return doctor.examine(str(path))


@pytest.fixture
def setup(small_corpus, tmp_path, monkeypatch):
    for name in ("TF_CONFIG", "TPU_NAME", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    # What is installed here is looked at by one test of its own.
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: [])
    return Setup(small_corpus, tmp_path)


def cluster(*workers, index=0):
    return json.dumps(
        {
            "cluster": {"worker": list(workers)},
            "task": {"type": "worker", "index": index},
        }
    )


# Each plant spoils one thing, and returns the settings to look at. Its
# docstring is what the doctor's message has to hold.


def plant_a_misspelt_setting(s, _):
    """learning_rate"""
    s.pretraining["optimization"]["learning_rat"] = 1e-3
    return s.pretraining


def plant_a_batch_that_does_not_divide(s, _):
    """the nearest are 6 and 9"""
    s.pretraining["optimization"] |= {"batch_size": 8, "accumulation_steps": 3}
    return s.pretraining


def plant_a_warm_up_longer_than_the_run(s, _):
    """warmup_steps"""
    s.pretraining["optimization"]["warmup_steps"] = 30
    return s.pretraining


def plant_a_loop_of_no_steps(s, _):
    """runtime.steps_per_loop above 0"""
    s.pretraining["runtime"]["steps_per_loop"] = 0
    return s.pretraining


def plant_a_learning_rate_a_thousand_times_too_high(s, _):
    """1e-4 to 1e-3 is usual"""
    s.pretraining["optimization"]["learning_rate"] = 1.0
    return s.pretraining


def plant_no_records(s, _):
    """nowhere"""
    s.pretraining["data"]["records"] = str(s.folder / "nowhere")
    return s.pretraining


def plant_another_vocabulary_beside_the_records(s, _):
    """is not the vocabulary that these rows were made with"""
    path = s.records / "vocab.txt"
    path.write_text(path.read_text().replace("film", "movie"))
    return s.pretraining


def plant_a_shard_cut_short(s, _):
    """the manifest says"""
    shard = next(s.records.glob("*tfrecord*"))
    shard.write_bytes(shard.read_bytes()[:-10])
    return s.pretraining


def plant_rows_longer_than_the_position_table(s, _):
    """max_position_embeddings"""
    s.pretraining["model"]["max_position_embeddings"] = 8
    return s.pretraining


def plant_more_rows_in_a_batch_than_there_are(s, _):
    """wanted at least one batch"""
    s.pretraining["optimization"]["batch_size"] = 4096
    return s.pretraining


def plant_training_text_held_out(s, _):
    """wanted text that is not trained on"""
    s.pretraining["data"]["held_out"] = str(s.records)
    return s.pretraining


def plant_heads_that_do_not_divide_the_width(s, _):
    """num_attention_heads"""
    s.pretraining["model"]["num_attention_heads"] = 3
    return s.pretraining


def plant_weights_of_another_vocabulary(s, _):
    """wanted weights for the vocabulary of the data"""
    start = s.folder / "start"
    start.mkdir()
    tokens = (s.folder / "vocab.txt").read_text().split()
    tokens[10], tokens[11] = tokens[11], tokens[10]
    Tokenizer(tokens).save(start)
    config = BertConfig.preset("tiny", vocab_size=len(tokens))
    config.to_json(start / "config.json")
    save_weights(PretrainingTask(config), start / "model.safetensors")
    s.pretraining["model"]["init_from"] = str(start)
    return s.pretraining


def plant_a_run_folder_with_something_else(s, _):
    """give another folder"""
    (s.folder / "run").mkdir()
    (s.folder / "run" / "thesis.tex").write_text("")
    return s.pretraining


def plant_a_run_folder_under_a_file(s, _):
    """wanted a folder that can be written"""
    (s.folder / "taken").write_text("")
    s.pretraining["runtime"]["run_dir"] = str(s.folder / "taken" / "run")
    return s.pretraining


def plant_a_full_disk(s, monkeypatch):
    """lower runtime.keep_checkpoints"""
    monkeypatch.setattr(machine, "_free", lambda _: 1000)
    return s.pretraining


def plant_too_little_memory(s, monkeypatch):
    """raise optimization.accumulation_steps"""
    monkeypatch.setattr(machine, "_memory", lambda: 1000)
    return s.pretraining


def plant_half_precision_without_a_gpu(s, monkeypatch):
    """take bfloat16, or float32"""
    monkeypatch.setattr(
        machine.tf.config, "list_physical_devices", lambda _: []
    )
    s.pretraining["runtime"]["precision"] = "float16"
    return s.pretraining


def plant_a_cluster_that_is_not_json(s, monkeypatch):
    """TF_CONFIG is not JSON"""
    monkeypatch.setenv("TF_CONFIG", "{worker: here}")
    return s.pretraining


def plant_a_worker_that_is_not_in_the_cluster(s, monkeypatch):
    """task.index from 0 to 1"""
    monkeypatch.setenv(
        "TF_CONFIG", cluster("localhost:34501", "localhost:34502", index=2)
    )
    return s.pretraining


def plant_a_cluster_that_the_strategy_ignores(s, monkeypatch):
    """each would train a model of its own"""
    monkeypatch.setenv(
        "TF_CONFIG", cluster("localhost:34501", "localhost:34502")
    )
    s.pretraining["runtime"]["strategy"] = "mirrored"
    return s.pretraining


def plant_a_strategy_without_its_cluster(s, _):
    """set TF_CONFIG on every worker"""
    s.pretraining["runtime"]["strategy"] = "multi_worker"
    return s.pretraining


def plant_a_host_without_an_address(s, monkeypatch):
    """correct the name"""
    monkeypatch.setenv(
        "TF_CONFIG", cluster("localhost:34501", "no.such.invalid:34501")
    )
    s.pretraining["runtime"]["strategy"] = "multi_worker"
    return s.pretraining


def plant_a_label_that_training_never_saw(s, _):
    """validation.tsv"""
    text = table([("a film", "good"), ("a plot", "mediocre")])
    (s.folder / "validation.tsv").write_text(text)
    return s.finetuning


def plant_a_column_that_is_not_there(s, _):
    """sentiment"""
    s.finetuning["data"]["label_column"] = "sentiment"
    return s.finetuning


def plant_a_single_label(s, _):
    """at least two classes are needed"""
    rows = [(text, "good") for text, _ in EXAMPLES]
    (s.folder / "train.tsv").write_text(table(rows))
    (s.folder / "validation.tsv").write_text(table([("a film", "good")]))
    return s.finetuning


def plant_validation_on_training_text(s, _):
    """wanted validation texts that are not trained on"""
    s.finetuning["data"]["validation"] = s.finetuning["data"]["train"]
    return s.finetuning


def plant_texts_longer_than_the_position_table(s, _):
    """max_position_embeddings"""
    s.finetuning["data"]["max_length"] = 4096
    return s.finetuning


PLANTS = [f for name, f in list(globals().items()) if name[:6] == "plant_"]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda f: f.__name__[6:])
def test_a_planted_mistake_is_found(plant, setup, monkeypatch):
    findings = setup.examine(plant(setup, monkeypatch))
    messages = [str(finding) for finding in findings.mistakes]
    assert any(plant.__doc__ in text for text in messages), messages
    # One mistake is not told in five ways.
    assert len(messages) <= 2, messages


def test_a_good_set_up_raises_no_alarm(setup):
    for settings in (setup.pretraining, setup.finetuning):
        found = setup.examine(settings).all
        alarms = [f for f in found if f.kind != "fine"]
        assert not alarms, [str(alarm) for alarm in alarms]
        areas = {finding.area for finding in found}
        assert {"devices", "cluster", "disk", "memory"} <= areas
    assert not (setup.folder / "run").exists()
    assert not (setup.folder / "finetuned").exists()


def test_a_port_that_is_taken_is_found(setup, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        address = f"localhost:{port}"
        monkeypatch.setenv("TF_CONFIG", cluster(address, "localhost:34502"))
        findings = setup.examine(setup.pretraining)
    assert any(str(port) in str(found) for found in findings.mistakes)


def test_a_cluster_of_this_host_is_good(setup, monkeypatch):
    monkeypatch.setenv(
        "TF_CONFIG", cluster("localhost:34501", "localhost:34502")
    )
    assert not setup.examine(setup.pretraining).mistakes


def test_planned_steps_raise_no_alarm(setup):
    optimization = setup.pretraining["optimization"]
    optimization.pop("warmup_steps", None)
    optimization |= {"steps": 20, "warmup_share": 0.1}
    assert not setup.examine(setup.pretraining).mistakes
    setup.pretraining["budget"] = "30m"
    assert not setup.examine(setup.pretraining).mistakes
    setup.pretraining["budget"] = "soon"
    mistake = setup.examine(setup.pretraining).mistakes[0]
    assert "a budget such as 90s" in str(mistake)


def test_advice_is_no_mistake(setup):
    shutil.rmtree(setup.records / "held_out")
    setup.pretraining["data"]["masking"] = {"max_predictions": 1, "rate": 0.5}
    findings = setup.examine(setup.pretraining)
    advice = [str(f) for f in findings.all if f.kind == "advice"]
    assert not findings.mistakes and len(advice) == 2
    assert "--held_out" in advice[0] and "leave it out" in advice[1]
    del setup.finetuning["data"]["validation"]
    advice = setup.examine(setup.finetuning).all
    assert any("not the best" in str(f) for f in advice)


def test_the_exit_status_and_what_is_printed(setup, capsys):
    path = setup.folder / "config.yaml"
    path.write_text(yaml.safe_dump(setup.pretraining))
    doctor.main(["--config", str(path)])
    out = capsys.readouterr().out
    assert "ok      records:" in out and out.endswith("No mistakes found.\n")
    with pytest.raises(SystemExit) as stopped:
        doctor.main(["--config", str(path), "optimization.steps=0"])
    assert stopped.value.code == exit_status.USER_ERROR == 2
    out = capsys.readouterr().out
    assert "MISTAKE settings: wanted optimization.steps above 0" in out
    assert out.endswith("mistake found.\n") or "mistakes found" in out


def test_the_options_of_the_verb_itself(setup, capsys):
    path = setup.folder / "config.yaml"
    for verb, content in (
        ("pretrain", setup.pretraining),
        ("finetune", setup.finetuning),
    ):
        path.write_text(yaml.safe_dump(content))
        doctor.main([verb, "--config", str(path), "--seed", "3"])
        out = capsys.readouterr().out
        assert out.endswith("No mistakes found.\n")
        assert ("records:" in out) == (verb == "pretrain")
    found = doctor.examine_command("finetune", ["--bs", "3"]).mistakes
    assert "nearest setting to 'bs'" in str(found[0])
    with pytest.raises(SystemExit) as stopped:
        doctor.main(["finetune", "--help"])
    assert not stopped.value.code
    assert "--data.text_columns" in capsys.readouterr().out


def test_without_a_config_the_machine_is_looked_at(setup):
    areas = {finding.area for finding in doctor.examine().all}
    assert areas == {"versions", "devices", "cluster"}
