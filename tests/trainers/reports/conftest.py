"""A real browser that looks at pages, where there is one."""

import base64
import json
import os
import shutil
import subprocess

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Browser:
    """Chromium without a window, asked over a pipe (DevTools protocol).

    Messages are JSON, each ended by a zero byte, on file descriptors 3 (to
    the browser) and 4 (from it).
    """

    def __init__(self, program, profile):
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()

        def as_3_and_4():
            # Up first, so that neither is overwritten before it is copied.
            high = [os.dup2(fd, n) for n, fd in ((10, to_browser),)]
            high.append(os.dup2(from_browser, 11))
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self._process = subprocess.Popen(
            [
                program,
                "--headless=new",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=as_3_and_4,
            close_fds=False,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._held, self._number, self._session = b"", 0, None
        self.complaints = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask(
            "Target.attachToTarget", targetId=target, flatten=True
        )["sessionId"]
        for part in ("Page", "Runtime", "Log"):
            self.ask(f"{part}.enable")

    def ask(self, method, **parameters):
        """The answer to one command; complaints of the page are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self):
        while b"\0" not in self._held:
            part = os.read(self._in, 1 << 16)
            assert part, "the browser has ended"
            self._held += part
        text, self._held = self._held.split(b"\0", 1)
        message = json.loads(text)
        complaints = ("Log.entryAdded", "Runtime.exceptionThrown")
        if message.get("method") in (*complaints, "Runtime.consoleAPICalled"):
            self.complaints.append(message["params"])
        return message

    def value(self, expression):
        """What a JavaScript expression, or its promise, comes to."""
        answer = self.ask(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, path, width, scheme="light"):
        """Shows a file in a window `width` pixels wide."""
        self.complaints.clear()
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.ask("Emulation.setEmulatedMedia", features=[feature])
        self.ask("Page.navigate", url=path.resolve().as_uri())
        self.value(
            "new Promise(done => { const look = () => document.readyState "
            "=== 'complete' && location.protocol === 'file:' ? "
            "document.fonts.ready.then(() => done(1)) : setTimeout(look, 10);"
            " look(); })"
        )

    def picture(self, path):
        """Writes the whole page as PNG."""
        answer = self.ask(
            "Page.captureScreenshot", captureBeyondViewport=True, format="png"
        )
        path.write_bytes(base64.b64decode(answer["data"]))

    def close(self):
        """Ends the browser."""
        self._process.terminate()
        self._process.wait(20)
        os.close(self._out)
        os.close(self._in)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A `Browser`; the test is skipped where no browser is installed."""
    program = os.environ.get("CHROME") or next(
        filter(None, map(shutil.which, NAMES)), None
    )
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    browser = Browser(program, tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


# Figures of a validation, one predictions row and run.json, by kind.
TEXT = {"line": 2, "text": ["A warm and <b>funny</b> film, 東京 " * 9]}
WORDS = "Anna Maria of New York met Bo at the Llanfairpwllgwyngyll station"
TAGS = "B-PER I-PER O B-LOC I-LOC O B-PER O O B-LOC O"
KINDS = {
    "classification": (
        {"accuracy": 0.81, "macro_f1": 0.8},
        TEXT
        | {"label": "bad", "predicted": "very_good_indeed_" * 3}
        | {"probabilities": [0.1, 0.9]},
        {"labels": ["bad", "very_good_indeed_" * 3], "text_columns": ["text"]},
    ),
    "multi_label": (
        {"micro_f1": 0.7, "macro_f1": 0.6},
        TEXT
        | {"label": ["joy", "calm"], "predicted": ["anger"]}
        | {"probabilities": [0.1, 0.9, 0.2]},
        {"labels": ["joy", "calm", "anger"], "label_separator": ","},
    ),
    "regression": (
        {"pearson": 0.83, "spearman": 0.82, "mse": 1.234567},
        TEXT | {"label": 2.5, "predicted": 4.25},
        {"text_columns": ["sentence1", "sentence2"]},
    ),
    "multiple_choice": (
        {"accuracy": 0.5},
        TEXT
        | {"choices": ["to the left " * 20, "right"], "label": 0}
        | {"predicted": 1, "probabilities": [0.4, 0.6]},
        {"question_column": "question"},
    ),
    "question_answering": (
        {"f1": 0.6, "exact_match": 0.5},
        {
            "line": 9,
            "text": ["Who met Bo?", "So long a text. " * 40 + "Anna met Bo."],
            "gold": ["Anna"],
            "answer": "Bo",
            "start": 649,
            "end": 651,
            "exact_match": 0.0,
            "f1": 0.0,
        },
        {"window_stride": 32},
    ),
    "token_labelling": (
        {"f1": 0.0, "precision": 0.0, "recall": 0.0, "accuracy": 0.92},
        {
            "line": 4,
            "words": WORDS.split(),
            "label": TAGS.split(),
            "predicted": ["O", *TAGS.split()[1:-1], "B-ORG"],
            "scores": [0.5] * 11,
        },
        {"labels": sorted(set(TAGS.split())), "label_scheme": "IOB2"},
    ),
    "role_labelling": (
        {"f1": 0.6, "predicate_f1": 0.9},
        {
            "line": 4,
            "words": WORDS.split(),
            "predicate": 5,
            "label": "B-A0 I-A0 I-A0 I-A0 I-A0 B-V B-A1 O O O O".split(),
            "predicted": "B-A0 I-A0 I-A0 I-A0 O B-V B-A1 O O O O".split(),
            "scores": [0.5] * 11,
        },
        {"predicate_column": 1},
    ),
}
DATA = {"train": "data/a_long_folder_name/of_the_training_file/train.tsv"}
DATA |= {"validation": "dev.tsv", "max_length": 64, "metric": None}
DATA |= {"text_columns": ["text"], "question_column": "question"}
DATA |= {"window_stride": None, "predicate_column": 1, "label_separator": ","}


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def metrics_of(figures, offset):
    """Rows of a short training with an evaluation every 20 steps."""
    for step in range(5, 101, 5):
        yield {
            **{"step": step, "time": 1.79e9 + step, "split": "train"},
            **{"loss": 3 / step + offset, "tokens": 1000, "seconds": 2.0},
            **{"learning_rate": 1e-4 * (1 - step / 100), "mfu": 0.4},
            **{"gradient_norm": 200 / step, "tokens_per_second": 510.0 - step},
            **{"host_memory_bytes": 1e9},
        }
        if step % 20 == 0:
            grown = {n: v * (step / 100 + offset) for n, v in figures.items()}
            yield {
                **{"step": step, "split": "validation"},
                **{"loss": 2 / step + 0.1 + offset, **grown},
            }


@pytest.fixture(scope="session")
def write_run():
    """Returns a function that writes the files of a run of some kind."""

    def write(folder, kind, offset=0.0, rate=1e-4):
        folder.mkdir(parents=True)
        settings = {
            "task": kind,
            "data": DATA,
            "optimization": {"steps": 100, "clip_norm": 1.0}
            | {"learning_rate": rate},
            "runtime": {"run_dir": str(folder), "precision": "float32"},
        }
        (folder / "settings.yaml").write_text(json.dumps(settings))
        if kind == "pretraining":
            figures, about = {"masked_lm_accuracy": 0.4}, {}
        else:
            figures, row, about = KINDS[kind]
            measured = figures | {"step": 100, "examples": 30}
            if kind == "classification":
                one = {"precision": 0.5, "recall": 1.0, "f1": 0.67}
                one["support"] = 15
                measured |= {"confusion": [[12, 3], [4, 11]]}
                measured |= {"per_class": {"dickens": one, "melville": one}}
            (folder / "evaluation-test.json").write_text(json.dumps(measured))
            rows = [row | {"line": 2 + i} for i in range(30)]
            write_lines(folder / "predictions-test.jsonl", rows)
        about = {"kind": kind, "train_examples": 1500, **about}
        (folder / "run.json").write_text(json.dumps(about))
        (folder / "config.json").write_text('{"hidden_size": 128}')
        environment = {"host": "node7", "versions": {"keras": "3.15.1"}}
        (folder / "environment.json").write_text(json.dumps(environment))
        write_lines(folder / "metrics.jsonl", metrics_of(figures, offset))
        return folder

    return write


@pytest.fixture(scope="session")
def write_seeds(write_run):
    """Returns a function that writes a folder of `--seeds`."""

    def write(folder, kind="token_labelling", seeds=(3, 4, 5), **options):
        runs = {}
        for seed in seeds:
            write_run(folder / f"seed-{seed}", kind, seed / 100, **options)
            f1 = seed / 10 + 0.25
            runs[seed] = {"step": 40 + seed, "validation_f1": f1}
            runs[seed] |= {"validation_accuracy": 0.9, "test_f1": f1 - 0.1}
        values = {n: [run[n] for run in runs.values()] for n in runs[seeds[0]]}
        spread = {
            n: {
                "mean": sum(some) / len(some),
                "standard_deviation": 0.1,
                "least": min(some),
                "most": max(some),
            }
            for n, some in values.items()
        }
        content = {"seeds": runs, "spread": spread}
        (folder / "summary.json").write_text(json.dumps(content))
        return folder

    return write


@pytest.fixture(scope="session")
def write_sweep(write_run):
    """Returns a function that writes a folder of `--sweep`."""

    def write(folder, diverged=True):
        runs = []
        for place, rate in enumerate(("3e-05", "1e-4", "3e-4")):
            for size in ("8", "64"):
                name = f"learning_rate={rate},batch_size={size}"
                offset = place * 0.02 + float(size) / 1000
                write_run(folder / name, "classification", offset, float(rate))
                chosen = {"optimization.learning_rate": rate}
                chosen |= {"optimization.batch_size": size}
                figures = {"step": 40, "validation_accuracy": 0.5 + offset}
                run_dir = f"elsewhere/{name}"
                one = {"settings": chosen, "run_dir": run_dir}
                runs.append(one | {"figures": figures})
        if diverged:
            del runs[4]["figures"]
            runs[4]["failed"] = "loss is not <finite>"
        best = max(
            (i for i, one in enumerate(runs) if "figures" in one),
            key=lambda i: runs[i]["figures"]["validation_accuracy"],
        )
        content = {"metric": "validation_accuracy", "runs": runs}
        content |= {"best": best}
        (folder / "sweep.json").write_text(json.dumps(content))
        return folder

    return write
