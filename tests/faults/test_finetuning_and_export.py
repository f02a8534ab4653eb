"""F7, F57: kill -9 in fine-tuning, evaluation, export and a sweep."""

import errno
import json
import random
import signal

import pytest

pytestmark = pytest.mark.faults
STEPS = 25


@pytest.fixture(scope="module")
def argv(faults, tmp_path_factory):
    """Returns the command line of a small fine-tuning."""
    folder = tmp_path_factory.mktemp("labelled")
    draw = random.Random(0)
    for name, count in (("train", 200), ("validation", 40)):
        lines = ["text\tlabel\n"]
        for _ in range(count):
            label = draw.choice(["sea", "wind"])
            words = draw.choices("the ship sails over dark".split(), k=4)
            lines.append(f"{' '.join([*words, label])}\t{label}\n")
        (folder / f"{name}.tsv").write_text("".join(lines))
    settings = {
        "model.preset": "tiny",
        "model.hidden_size": 32,
        "model.num_attention_heads": 2,
        "model.intermediate_size": 64,
        "model.max_position_embeddings": 16,
        "data.train": folder / "train.tsv",
        "data.validation": folder / "validation.tsv",
        "data.tokenizer": faults.data,
        "data.max_length": 16,
        "optimization.batch_size": 16,
        "optimization.epochs": 2,
        "optimization.learning_rate": 0.01,
        "runtime.log_every": 1,
    }

    def make(run_dir):
        settings["runtime.run_dir"] = run_dir
        return [word for k, v in settings.items() for word in (f"--{k}", v)]

    return make


@pytest.fixture(scope="module")
def wanted(faults, argv, tmp_path_factory):
    """A fine-tuning that nothing happens to."""
    run_dir = tmp_path_factory.mktemp("wanted") / "run"
    faults.start("finetune", argv(run_dir), run_dir).done()
    return run_dir


def test_fine_tuning_goes_on(faults, argv, wanted, tmp_path):
    run_dir = tmp_path / "run"
    for target in ("step-00000013", "best.safetensors", "step-00000025"):
        call = "replace" if "best" in target else "rename"
        job = faults.start(
            "finetune", argv(run_dir), die_at=[call, target, "before"]
        )
        assert job.wait() == -signal.SIGKILL, job.said
    faults.start("finetune", argv(run_dir)).done()
    faults.assert_same(run_dir, wanted, STEPS)
    assert_same_best(run_dir, wanted)


def assert_same_best(run_dir, wanted):
    best = "best.safetensors"
    assert (run_dir / best).read_bytes() == (wanted / best).read_bytes()
    # Nor is anything left of a writer that was killed or failed.
    assert list(run_dir.rglob(".tmp-*")) == []


def test_f22_best_weights_that_cannot_be_written(
    faults, argv, wanted, tmp_path
):
    run_dir = tmp_path / "run"
    full = ["replace", "best.safetensors", errno.ENOSPC, -1]
    said = faults.start("finetune", argv(run_dir), refuse=full).done(4)
    assert f"the best weights {run_dir}/best.safetensors could not be" in said
    assert "needs " in said and ", has " in said
    assert "Traceback" not in said
    # A checkpoint that counts on them is not written before them.
    assert sorted(p.name for p in run_dir.rglob("step-*")) == []
    assert list(run_dir.rglob(".tmp-*")) == []
    faults.start("finetune", argv(run_dir)).done()
    faults.assert_same(run_dir, wanted, STEPS)
    assert_same_best(run_dir, wanted)


def test_f22_best_weights_and_training_that_goes_on(
    faults, argv, wanted, tmp_path
):
    run_dir = tmp_path / "run"
    once = ["replace", "best.safetensors", errno.ENOSPC, 1]
    words = [*argv(run_dir), "--runtime.on_save_error", "continue"]
    said = faults.start("finetune", words, refuse=once).done()
    assert "Training goes on (runtime.on_save_error: continue)" in said
    assert [e["step"] for e in faults.events(run_dir, "save_failed")]
    faults.assert_same(run_dir, wanted, STEPS)
    assert_same_best(run_dir, wanted)


def same_bytes(found, wanted):
    files = sorted(
        path.relative_to(wanted)
        for path in wanted.rglob("*.safetensors")
        if path.is_file()
    )
    assert files
    for file in files:
        assert (found / file).read_bytes() == (wanted / file).read_bytes()


def test_f57_a_sweep_goes_on_past_what_diverges(faults, argv, tmp_path):
    """The second point diverges; a kill comes in the third one."""
    grid = "optimization.learning_rate=[0.01, 1e30, 0.02]"
    more = ["--sweep", grid, "--runtime.max_skipped", "3"]
    wanted, run_dir = tmp_path / "wanted", tmp_path / "run"
    said = faults.start("finetune", [*argv(wanted), *more]).done()
    assert "learning_rate=1e30 has failed, and the sweep goes on" in said
    found = json.loads((wanted / "sweep.json").read_text())
    assert ["failed" in one for one in found["runs"]] == [False, True, False]
    job = faults.start(
        "finetune",
        [*argv(run_dir), *more],
        die_at=["rename", "learning_rate=0.02/checkpoints/step-0", "before"],
    )
    assert job.wait() == -signal.SIGKILL, job.said
    faults.start("finetune", [*argv(run_dir), *more]).done()
    same_bytes(run_dir, wanted)
    again = (run_dir / "sweep.json").read_text()
    assert json.loads(again.replace(str(run_dir), str(wanted))) == found


@pytest.mark.parametrize(
    ("more", "folders"),
    [
        (["--seeds", "2"], ["seed-0", "seed-1"]),
        (
            ["--sweep", "optimization.learning_rate=[0.01, 0.02]"],
            ["learning_rate=0.01", "learning_rate=0.02"],
        ),
    ],
    ids=["seeds", "sweep"],
)
def test_several_runs_of_two_workers(faults, argv, tmp_path, more, folders):
    run_dir = tmp_path / "run"
    jobs = [
        faults.start("finetune", [*argv(run_dir), *more], env=env)
        for env in faults.worker_environments(2)
    ]
    for job in jobs:
        job.done()
    for folder in folders:
        assert faults.checkpoints(run_dir / folder)[-1] == "step-00000025"


def test_an_export_appears_when_it_is_complete(faults, wanted, tmp_path):
    output = tmp_path / "export"
    argv = [wanted, "--output", output]
    job = faults.start("export", argv, die_at=["rename", "export/", "before"])
    assert job.wait() == -signal.SIGKILL, job.said
    # TF Serving looks for folders whose names are numbers.
    assert [p for p in output.iterdir() if p.name.isdigit()] == []
    said = faults.start("export", argv).done()
    assert f"written: {output}/1" in said
    assert (output / "1" / "saved_model.pb").exists()
    assert [p.name for p in output.iterdir() if p.name.isdigit()] == ["1"]


def test_an_evaluation_is_written_whole(faults, wanted, tmp_path):
    data = tmp_path / "test.tsv"
    data.write_text("text\tlabel\nthe sea\tsea\nthe wind\twind\n")
    argv = [wanted, "--data", data]
    fault = ["replace", "evaluation-test.json", "before"]
    job = faults.start("evaluate", argv, die_at=fault)
    assert job.wait() == -signal.SIGKILL, job.said
    assert not (wanted / "evaluation-test.json").exists()
    faults.start("evaluate", argv).done()
    assert (wanted / "evaluation-test.json").exists()
