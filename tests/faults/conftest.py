"""Real trainers that start in a moment: forked from one that has imported all.

Starting Python and TensorFlow takes several seconds; a process that has
imported them and computed nothing yet can be forked at once. Everything else
is as on the command line: an own process, its signals, its exit status.
"""

import json
import multiprocessing
import os
import runpy
import socket
import time
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
STEPS = 60
WORDS = "the sea ship sails over dark water while wind blows".split()
LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = (
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *WORDS]
    + list(LETTERS)
    + [f"##{letter}" for letter in LETTERS]
)
SETTINGS = {
    "model.preset": "tiny",
    "model.hidden_size": 64,
    "model.intermediate_size": 128,
    "model.max_position_embeddings": 64,
    "data.masking.max_predictions": 10,
    "optimization.batch_size": 8,
    "optimization.steps": STEPS,
    "optimization.warmup_steps": 6,
    "optimization.learning_rate": 1e-3,
    "runtime.evaluate_every": 30,
    "runtime.checkpoint_every": 10,
    "runtime.log_every": 1,
}
NO_DROPOUT = {
    "model.hidden_dropout_prob": 0.0,
    "model.attention_probs_dropout_prob": 0.0,
}


class Job:
    """A started verb.

    Attributes:
      process: the multiprocessing.Process; its pid takes signals.
      run_dir: its run folder, if it has one.
    """

    def __init__(self, process, log, run_dir):
        self.process, self.log, self.run_dir = process, log, run_dir

    @property
    def said(self):
        """What it has printed so far."""
        return self.log.read_text() if self.log.exists() else ""

    def signal(self, number):
        """Sends a signal."""
        os.kill(self.process.pid, number)

    def wait(self, timeout=240):
        """Waits for its end; returns its exit status (-9: killed)."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            raise AssertionError(f"it hangs:\n{self.said}")
        return self.process.exitcode

    def done(self, status=0, timeout=240):
        """Waits, and asserts its exit status; returns what it said."""
        found = self.wait(timeout)
        assert found == status, f"status {found}:\n{self.said}"
        return self.said

    def until(self, condition, timeout=240):
        """Waits until `condition()` holds."""
        end = time.monotonic() + timeout
        while not condition():
            if self.process.exitcode is not None:
                raise AssertionError(f"it has ended:\n{self.said}")
            if time.monotonic() > end:
                self.process.kill()
                raise AssertionError(f"nothing comes:\n{self.said}")
            time.sleep(0.01)

    def until_step(self, step):
        """Waits until a step is logged."""
        self.until(lambda: last_step(self.run_dir) >= step)


def rows(run_dir, split="train"):
    """The rows of metrics.jsonl, without times and speeds."""
    path = Path(run_dir) / "metrics.jsonl"
    keep = ("step", "loss", "masked_lm_accuracy", "gradient_norm", "skipped")
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["split"] == split:
            found.append({name: row[name] for name in keep if name in row})
    return found


def last_step(run_dir):
    """The last step that is logged."""
    return max((row["step"] for row in rows(run_dir)), default=-1)


def tensors(run_dir, step=STEPS):
    """The bytes of all variables of a checkpoint."""
    from safetensors.numpy import load_file

    folder = Path(run_dir) / "checkpoints" / f"step-{step:08d}"
    return {
        (file.name, name): value
        for file in sorted(folder.glob("*.safetensors"))
        for name, value in load_file(file).items()
    }


class Harness:
    """Starts verbs and compares runs."""

    steps, settings, no_dropout = STEPS, SETTINGS, NO_DROPOUT
    rows = staticmethod(rows)
    last_step = staticmethod(last_step)
    tensors = staticmethod(tensors)

    def __init__(self, context, folder, data):
        self._context, self._folder, self.data = context, folder, data
        self._count = 0

    def start(self, verb, argv, run_dir=None, env=None, **faults):
        """Starts a verb with faults (functions of trainer_process.py)."""
        self._count += 1
        log = self._folder / f"log-{self._count}.txt"
        job = {
            "verb": f"trainers.{verb}",
            "argv": [str(word) for word in argv],
            "log": str(log),
            "env": env or {},
            "faults": faults,
        }
        process = self._context.Process(
            target=runpy.run_path,
            args=(str(HERE / "trainer_process.py"), {"JOB": job}),
        )
        process.start()
        return Job(process, log, run_dir)

    def options(self, run_dir, changes=None):
        """The command line of `tfbert pretrain`."""
        settings = {
            **SETTINGS,
            "data.records": self.data,
            "runtime.run_dir": run_dir,
            **(changes or {}),
        }
        return [word for k, v in settings.items() for word in (f"--{k}", v)]

    def pretrain(self, run_dir, changes=None, env=None, **faults):
        """Starts a pretraining."""
        argv = self.options(run_dir, changes)
        return self.start("pretrain", argv, run_dir, env, **faults)

    def workers(self, run_dir, number, changes=None, **faults):
        """Starts a pretraining with several workers; returns their jobs."""
        starters = self.worker_starters(run_dir, number, changes)
        return [start(**faults) for start in starters]

    def worker_starters(self, run_dir, number, changes=None):
        """Functions that start a worker each: (changes, **faults) -> job."""

        def starter(env):
            def start(other_changes=None, **faults):
                return self.pretrain(
                    run_dir, other_changes or changes, env=env, **faults
                )

            return start

        return [starter(env) for env in self.worker_environments(number)]

    def worker_environments(self, number, host="localhost"):
        """TF_CONFIG of each of several workers."""
        sockets = [socket.socket() for _ in range(number)]
        for sock in sockets:
            sock.bind(("localhost", 0))
        ports = [sock.getsockname()[1] for sock in sockets]
        for sock in sockets:
            sock.close()
        cluster = {"worker": [f"{host}:{port}" for port in ports]}
        tasks = [{"type": "worker", "index": i} for i in range(number)]
        return [
            {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}
            for task in tasks
        ]

    def assert_same(self, run_dir, reference, step=STEPS):
        """The same bytes in every variable, and the same logged values."""
        self.assert_same_weights(run_dir, reference, step)
        for split in ("train", "validation"):
            assert rows(run_dir, split) == rows(reference, split)

    def assert_same_weights(self, run_dir, reference, step=STEPS):
        """The same bytes in every variable, moments included."""
        wanted, found = tensors(reference, step), tensors(run_dir, step)
        assert wanted and wanted.keys() == found.keys()
        for key, value in wanted.items():
            assert value.tobytes() == found[key].tobytes(), key

    def assert_close(self, run_dir, reference):
        """Losses within 1e-5, relative, at every step."""
        wanted, found = rows(reference), rows(run_dir)
        assert [r["step"] for r in wanted] == [r["step"] for r in found]
        np.testing.assert_allclose(
            [row["loss"] for row in found],
            [row["loss"] for row in wanted],
            rtol=1e-5,
        )

    def checkpoints(self, run_dir):
        """Names of what lies in the folder of checkpoints."""
        folder = Path(run_dir) / "checkpoints"
        return sorted(path.name for path in folder.iterdir())

    def events(self, run_dir, event):
        """The events of a kind."""
        from trainers.files.events import read_events

        return [r for r in read_events(run_dir) if r["event"] == event]


@pytest.fixture(scope="session")
def records_of_faults(tmp_path_factory):
    """Records of a small text, with some held out."""
    from trainers import records

    folder = tmp_path_factory.mktemp("faults-data")
    rng = np.random.default_rng(0)
    documents = [
        " ".join(rng.choice(WORDS, rng.integers(20, 100))) + "."
        for _ in range(200)
    ]
    (folder / "text.txt").write_text("\n\n".join(documents))
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    build = "--max_length 64 --held_out 0.1 --processes 1".split()
    records.main(
        ["--input", str(folder / "text.txt")]
        + ["--vocab", str(folder / "vocab.txt")]
        + ["--output", str(folder / "records"), *build]
    )
    return folder / "records"


@pytest.fixture(scope="session")
def faults(records_of_faults, tmp_path_factory):
    """The harness; all jobs that still run at the end are killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["trainers.pretrain", "trainers.run.api", "tfbert.tasks.pretraining"]
    )
    folder = tmp_path_factory.mktemp("faults-logs")
    yield Harness(context, folder, records_of_faults)
    for process in multiprocessing.active_children():
        process.kill()


@pytest.fixture(scope="session")
def reference(faults, tmp_path_factory):
    """R: a run that nothing happens to."""
    run_dir = tmp_path_factory.mktemp("faults-runs") / "reference"
    faults.pretrain(run_dir).done()
    return run_dir


@pytest.fixture(scope="session")
def reference_without_dropout(faults, tmp_path_factory):
    """R for comparisons between numbers of workers."""
    run_dir = tmp_path_factory.mktemp("faults-runs") / "without-dropout"
    faults.pretrain(run_dir, NO_DROPOUT).done()
    return run_dir


@pytest.fixture
def two_workers(faults):
    """Waits for two workers to end with a status."""

    def both(jobs, status=0):
        return [job.done(status) for job in jobs]

    return both
