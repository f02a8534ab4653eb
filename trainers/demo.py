"""`tfbert demo`: the whole way on the shipped sample, through the real verbs.

Text -> vocabulary -> records -> pretraining -> fine-tuning -> evaluation ->
SavedModel -> predictions -> reports. Each step is a command that is printed
before it runs and can be repeated by hand. Interrupted, the demo goes on
where it stopped; finished, it starts anew.
"""

import csv
import dataclasses
import importlib.resources
import json
import multiprocessing
import os
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path

import rich.rule
import rich.text

from tfbert import files
from tfbert.errors import UserError
from trainers import cli, command
from trainers.files import exit_status
from trainers.files.console import console
from trainers.reports import demo_summary

EXAMPLE = "tfbert demo"
SETTINGS_FILE = "demo.json"
SUMMARY_FILE = "summary.json"
NUM_SENTENCES = 3
# Elsewhere a process that has threads cannot be forked.
_METHOD = "forkserver" if sys.platform == "linux" else "spawn"
# What most verbs import; trainers.command first, as it hides notices.
_IMPORTED = ["trainers.command", "trainers.run.api"]


@dataclasses.dataclass(frozen=True)
class Demo:
    """Where things lie, and how long it trains.

    Attributes:
      output: folder of everything that the demo makes.
      vocab_size: tokens of the vocabulary.
      pretrain_steps: updates of pretraining; None: the config file's.
      finetune_epochs: epochs of fine-tuning; None: the config file's.
    """

    output: Path
    vocab_size: int
    pretrain_steps: int | None = None
    finetune_epochs: float | None = None

    @property
    def package(self) -> Path:
        """The installed package's folder, with the sample and the configs."""
        path = Path(str(importlib.resources.files("trainers")))
        # Short where it can be, so that the commands are easy to read.
        here = Path.cwd()
        return path.relative_to(here) if path.is_relative_to(here) else path

    @property
    def sample(self) -> Path:
        """Folder of the shipped data."""
        return self.package / "sample"

    @property
    def vocab(self) -> Path:
        """The vocabulary."""
        return self.output / "vocab.txt"

    @property
    def records(self) -> Path:
        """Folder of the records."""
        return self.output / "records"

    @property
    def pretraining(self) -> Path:
        """Run folder of pretraining."""
        return self.output / "pretrain"

    @property
    def finetuning(self) -> Path:
        """Run folder of fine-tuning."""
        return self.output / "finetune"

    @property
    def export(self) -> Path:
        """Folder of the SavedModel's versions."""
        return self.output / "exports" / "authors"

    @property
    def summary(self) -> Path:
        """The figures; written last."""
        return self.output / SUMMARY_FILE


@dataclasses.dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
      title: what it is for.
      argv: the verb and its arguments.
      result: there when it is done; None: run it every time.
    """

    title: str
    argv: list[str]
    result: Path | None = None


def build_parser() -> command.Parser:
    """The parser of `tfbert demo`."""
    parser = command.make_parser(
        "demo",
        "Runs the whole way from text to a served model on the sample that "
        "is shipped: less than 10 minutes on 2 CPU cores. Interrupted, the "
        "same command goes on; finished, it starts anew.",
        EXAMPLE,
    )
    parser.add_argument(
        "--output", type=str, default="runs/demo", help="folder to work in"
    )
    parser.add_argument(
        "--vocab_size", type=int, default=4096, help="tokens to learn"
    )
    parser.add_argument(
        "--pretrain_steps",
        type=int | None,
        default=None,
        help="updates of pretraining (default: what demo_pretrain.yaml says)",
    )
    parser.add_argument(
        "--finetune_epochs",
        type=float | None,
        default=None,
        help="epochs of fine-tuning (default: what demo_finetune.yaml says)",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    values = build_parser().parse_args(argv).as_dict()
    demo = Demo(Path(values.pop("output")), **values)
    start = time.perf_counter()
    prepare(demo)
    todo = steps(demo)
    for number, step in enumerate(todo, 1):
        run_step(f"{number}/{len(todo) + 1}", step)
    sentences = raw_sentences(demo)
    answers = ask(f"{len(todo) + 1}/{len(todo) + 1}", demo, sentences)
    seconds = time.perf_counter() - start
    figures = demo_summary.collect(
        demo.records, demo.pretraining, demo.finetuning
    )
    figures["sentences"] = demo_summary.pair(sentences, answers)
    figures["export"] = str(demo.export)
    figures["seconds"] = round(seconds, 1)
    text = json.dumps(figures, indent=2, ensure_ascii=False) + "\n"
    files.write_file(demo.summary, text)
    console.print()
    console.print(demo_summary.table(figures))
    console.print(f"The same figures: {demo.summary}")


def settings(demo: Demo) -> str:
    """What the results depend on: the commands and their config files."""
    configs = sorted((demo.package / "configs").glob("demo_*.yaml"))
    content = {
        "commands": [step.argv for step in steps(demo)],
        "configs": {path.name: path.read_text("utf-8") for path in configs},
    }
    return json.dumps(content, indent=1)


def prepare(demo: Demo) -> None:
    """Makes the folder, or decides what becomes of what it holds.

    Raises:
      UserError: the folder holds something that the demo did not make.
    """
    marker = demo.output / SETTINGS_FILE
    if demo.output.exists() and not marker.exists():
        if not demo.output.is_dir() or any(demo.output.iterdir()):
            raise UserError(
                f"wanted a new or empty folder, or one of an earlier demo, "
                f"got {demo.output}, which holds something else; name another "
                "with --output"
            )
    if marker.exists():
        if demo.summary.exists():
            why = "holds a finished demo"
        elif marker.read_text(encoding="utf-8") != settings(demo):
            why = "holds a demo with other settings"
        else:
            console.print(f"Going on with the demo in {demo.output}.")
            return
        console.print(f"{demo.output} {why}; starting anew.")
        # The marker goes last: interrupted here, the rest is still ours.
        for path in demo.output.iterdir():
            if path == marker:
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    files.write_file(marker, settings(demo))


def steps(demo: Demo) -> list[Step]:
    """The commands, in their order."""
    prose = str(demo.sample / "prose")
    configs = demo.package / "configs"
    pretrain = _override(
        "--optimization.steps", demo.pretrain_steps
    ) + _override("--optimization.warmup_steps", _tenth(demo.pretrain_steps))
    finetune = _override("--optimization.epochs", demo.finetune_epochs)
    return [
        Step(
            "A vocabulary of word pieces",
            ["vocab", "--input", prose, "--output", str(demo.vocab)]
            + ["--size", str(demo.vocab_size)],
            demo.vocab,
        ),
        Step(
            "Records: rows of token ids, whole documents held out",
            ["records", "--input", prose, "--vocab", str(demo.vocab)]
            + ["--output", str(demo.records)]
            + ["--max_length", "32", "--held_out", "0.05"],
            demo.records / "manifest.json",
        ),
        Step(
            "Pretraining: guess the masked words",
            ["pretrain", "--config", str(configs / "demo_pretrain.yaml")]
            + ["--data.records", str(demo.records)]
            + ["--runtime.run_dir", str(demo.pretraining)]
            + pretrain,
        ),
        Step(
            "Fine-tuning: which of five authors wrote this paragraph?",
            ["finetune", "--config", str(configs / "demo_finetune.yaml")]
            + ["--model.init_from", str(demo.pretraining)]
            + ["--data.train", str(demo.sample / "authors_train.csv")]
            + ["--data.validation"]
            + [str(demo.sample / "authors_validation.csv")]
            + ["--runtime.run_dir", str(demo.finetuning)]
            + finetune,
        ),
        Step(
            "Evaluation on paragraphs never seen",
            ["evaluate", str(demo.finetuning)]
            + ["--data", str(demo.sample / "authors_test.csv")]
            + ["--name", demo_summary.TEST_NAME],
        ),
        Step(
            "A SavedModel that takes raw text",
            ["export", str(demo.finetuning), "--output", str(demo.export)],
            demo.export / "1",
        ),
        Step("A report of pretraining", ["report", str(demo.pretraining)]),
        Step("A report of fine-tuning", ["report", str(demo.finetuning)]),
    ]


def _override(option: str, value) -> list[str]:
    return [] if value is None else [option, str(value)]


def _tenth(steps: int | None) -> int | None:
    return None if steps is None else max(steps // 10, 1)


def run_step(place: str, step: Step) -> None:
    """Prints a command and runs it, unless its result is there.

    Raises:
      UserError: the command failed; its own message stands above.
      KeyboardInterrupt: Ctrl-C ended it.
    """
    _announce(place, step)
    if step.result is not None and step.result.exists():
        console.print(f"{step.result} is there already.")
        return
    _check(run_verb(step.argv), step)


def ask(place: str, demo: Demo, sentences: list[dict]) -> list[dict]:
    """The export's answers to raw texts."""
    texts = [sentence["text"] for sentence in sentences]
    step = Step(
        "Three raw paragraphs of the test data, asked of the SavedModel",
        ["predict", str(demo.export), *texts, "--json"],
    )
    _announce(place, step)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.jsonl"
        _check(run_verb(step.argv, path), step)
        lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _announce(place: str, step: Step) -> None:
    console.print()
    console.print(rich.rule.Rule(f"{place}  {step.title}"))
    shown = shlex.join(["tfbert", *step.argv])
    if len(shown) > 400:
        shown = shown[:400] + " ..."
    console.print(rich.text.Text(f"$ {shown}"))


def run_verb(argv: list[str], output: Path | None = None) -> int:
    """Runs a verb in a process of its own; returns its exit status.

    The process is forked from one that has imported TensorFlow, which takes
    seconds, and done nothing else.

    Args:
      argv: the verb and its arguments.
      output: a file that takes what the verb prints.
    """
    context = multiprocessing.get_context(_METHOD)
    if _METHOD == "forkserver":
        context.set_forkserver_preload(_IMPORTED)
    process = context.Process(target=_verb, args=(argv, output))
    process.start()
    while True:
        try:
            process.join()
        except KeyboardInterrupt:
            # It reached the verb, too, which saves what it has and ends.
            continue
        return process.exitcode


def _verb(argv: list[str], output: Path | None) -> None:
    if output is not None:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(descriptor, 1)
    sys.exit(command.run(cli.dispatch, argv))


def _check(status: int, step: Step) -> None:
    if status == exit_status.INTERRUPTED:
        raise KeyboardInterrupt
    if status:
        raise UserError(
            f"`tfbert {step.argv[0]}` ended with status {status}; its message "
            "is above. `tfbert demo` goes on from there."
        )


def raw_sentences(demo: Demo) -> list[dict]:
    """The test data's shortest paragraph of each of the first authors.

    Returns:
      dicts with "text" and "label".
    """
    path = demo.sample / "authors_test.csv"
    with path.open(newline="", encoding="utf-8") as stream:
        rows = sorted(csv.DictReader(stream), key=lambda row: len(row["text"]))
    shortest: dict[str, dict] = {}
    for row in rows:
        shortest.setdefault(row["label"], row)
    return [shortest[label] for label in sorted(shortest)][:NUM_SENTENCES]


if __name__ == "__main__":
    sys.exit(command.script(main))
