"""The demo: its commands, what it does with an old folder, its figures."""

import importlib
import json
import math
import pathlib
import subprocess
import sys

import pytest

from tfbert.errors import UserError
from trainers import cli, demo


def make_demo(output, **changes) -> demo.Demo:
    return demo.Demo(pathlib.Path(output), vocab_size=1000, **changes)


@pytest.fixture
def no_commands(monkeypatch):
    """Lets no command start; gives the list of those that were asked for."""
    asked = []

    def run(argv, output=None):
        asked.append(argv)
        return run.status

    run.status = 0
    monkeypatch.setattr(demo, "run_verb", run)
    return asked, run


@pytest.mark.parametrize("changes", [{}, {"pretrain_steps": 20}])
def test_each_command_is_understood_by_its_verb(tmp_path, changes):
    steps = demo.steps(make_demo(tmp_path, **changes))
    verbs = [step.argv[0] for step in steps]
    assert verbs == [
        *("vocab", "records", "pretrain", "finetune"),
        *("evaluate", "export", "report", "report"),
    ]
    for step in steps:
        verb, *argv = step.argv
        parser = importlib.import_module(cli.VERBS[verb][0]).build_parser()
        parser.parse_args(argv)


def test_the_sample_is_found():
    here = make_demo("x")
    assert (here.sample / "prose").is_dir()
    assert (here.package / "configs/demo_pretrain.yaml").is_file()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="something else"):
        demo.prepare(make_demo(tmp_path))
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "demo").write_text("")
    with pytest.raises(UserError, match="wanted a new or empty folder"):
        demo.prepare(make_demo(tmp_path / "demo"))


def test_an_interrupted_demo_goes_on(tmp_path, capsys):
    here = make_demo(tmp_path / "demo")
    demo.prepare(here)
    here.vocab.write_text("kept")
    demo.prepare(here)
    assert here.vocab.read_text() == "kept"
    assert "Going on" in capsys.readouterr().out


def test_a_changed_config_starts_the_demo_anew(tmp_path, capsys, monkeypatch):
    here = make_demo(tmp_path / "demo")
    demo.prepare(here)
    read = pathlib.Path.read_text
    monkeypatch.setattr(
        pathlib.Path,
        "read_text",
        lambda path, *a, **k: (
            read(path, *a, **k) + "#" * (path.suffix == ".yaml")
        ),
    )
    demo.prepare(here)
    assert "other settings; starting anew" in capsys.readouterr().out


@pytest.mark.parametrize(
    "finished,steps,why", [(True, None, "finished"), (False, 7, "other")]
)
def test_a_finished_or_other_demo_is_started_anew(
    tmp_path, capsys, finished, steps, why
):
    here = make_demo(tmp_path / "demo")
    demo.prepare(here)
    here.vocab.write_text("old")
    here.records.mkdir()
    if finished:
        here.summary.write_text("{}")
    demo.prepare(make_demo(tmp_path / "demo", pretrain_steps=steps))
    assert [path.name for path in here.output.iterdir()] == ["demo.json"]
    assert why in capsys.readouterr().out


def test_what_is_there_is_not_made_again(tmp_path, no_commands):
    asked, _ = no_commands
    step = demo.Step("a thing", ["vocab"], tmp_path / "thing")
    demo.run_step("1/1", step)
    assert len(asked) == 1
    (tmp_path / "thing").write_text("")
    demo.run_step("1/1", step)
    assert len(asked) == 1


@pytest.mark.parametrize(
    "status,error", [(2, UserError), (130, KeyboardInterrupt)]
)
def test_a_command_that_fails_ends_the_demo(no_commands, status, error):
    _, run = no_commands
    run.status = status
    with pytest.raises(error):
        demo.run_step("1/1", demo.Step("a thing", ["vocab"]))


def test_sentences_are_of_different_authors():
    rows = demo.raw_sentences(make_demo("x"))
    assert len(rows) == 3
    assert len({row["label"] for row in rows}) == 3


@pytest.mark.long
def test_the_whole_way(tmp_path):
    """A few steps of everything, as a user types it, then the figures."""
    output = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "trainers.demo", "--output", str(output)]
        + ["--vocab_size", "500", "--pretrain_steps", "4"]
        + ["--finetune_epochs", "0.1"],
        cwd=pathlib.Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    figures = json.loads((output / "summary.json").read_text())
    assert figures["vocabulary"] == 500
    assert figures["pretraining_steps"] == 4
    assert figures["majority_class_accuracy"] == pytest.approx(0.2)
    assert 0 < figures["test_accuracy"] < 1
    # Random weights know nothing: the loss of a guess among all tokens.
    assert figures["held_out_loss_before"] == pytest.approx(
        math.log(500), abs=0.5
    )
    assert figures["held_out_loss_after"] < figures["held_out_loss_before"]
    assert figures["held_out_unigram_entropy"] < math.log(500)
    assert len(figures["sentences"]) == 3
    labels = {"alcott", "austen", "dickens", "melville", "stoker"}
    assert {row["predicted"] for row in figures["sentences"]} <= labels
    for path in [*figures["reports"], figures["export"] + "/1"]:
        assert pathlib.Path(path).exists()
    for row in figures["sentences"]:
        assert row["label"] in done.stdout
