"""What cases need and do not measure: made once, by each build for itself."""

import csv
import functools
from pathlib import Path

from benchmarks.builds.checkout import Checkout

# Of the training sample, whose rows an evaluation is fed with.
SAMPLE = Path("trainers", "sample")
STEPS_FILE = "few.csv"
FEW = 64


class Prepared:
    """Files of one build.

    Args:
      build: the build.
      data: folder of `made_data.write`.

    Attributes:
      too_long: what was ended at the limit.
    """

    def __init__(self, build: Checkout, data: Path):
        self.build, self.data = build, data
        self.too_long: set[str] = set()
        self._numbers: dict[str, int] = {}

    @property
    def vocab(self) -> Path:
        """The vocabulary of the made-up text."""
        return self.data / "vocab.txt"

    def new_path(self, name: str) -> Path:
        """A path in the build's folder that is not there yet."""
        number = self._numbers[name] = self._numbers.get(name, 0) + 1
        return self.build.folder / f"{name}_{number}"

    @functools.cached_property
    def slowest_help(self) -> str:
        """The verb whose `--help` takes the most processor time."""
        verbs = [
            line.split()[0]
            for line in self.build.verb("--help").output
            if line.startswith("  ") and line[2:3].isalpha()
        ]
        if not verbs:
            raise SystemExit(f"{self.build.path}: --help lists no verbs")
        taken = {verb: self.build.verb(verb, "--help").cpu for verb in verbs}
        return max(taken, key=taken.get)

    @functools.cached_property
    def records(self) -> Path:
        """Rows of 32 tokens of the made-up text."""
        path = self.new_path("records")
        self.build.verb(
            "records",
            *("--input", self.data / "text.txt", "--vocab", self.vocab),
            *("--output", path, "--max_length", 32),
        )
        return path

    @functools.cached_property
    def many_records(self) -> Path:
        """A folder of 104 folders of records."""
        path = self.new_path("many_records")
        self.build.run(
            "benchmarks.builds.probes.mixture",
            *("make", path, self.data / "text.txt", self.vocab, 104),
        )
        return path

    @functools.cached_property
    def card(self) -> Path:
        """The build's own settings for pretraining on a processor."""
        folder = self.build.path / "trainers"
        [path] = folder.rglob("pretrain_mini_cpu.yaml")
        return path

    @functools.cached_property
    def train_file(self) -> Path:
        """The largest labelled file of the build's sample."""
        return self.build.path / SAMPLE / "authors_train.csv"

    @functools.cached_property
    def finetuned(self) -> Path:
        """A run of BERT-tiny on a few rows of the sample."""
        with self.train_file.open(newline="", encoding="utf-8") as stream:
            head, *rows = csv.reader(stream)
        few = self.build.folder / STEPS_FILE
        with few.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([head, *rows[:FEW]])
        path = self.new_path("finetuned")
        self.build.verb(
            "finetune",
            *("--model.preset", "tiny", "--data.tokenizer", self.records),
            *("--data.train", few, "--optimization.epochs", 1),
            *("--data.validation", few, "--runtime.run_dir", path),
            *("--runtime.strategy", "one_device"),
        )
        return path

    @functools.cached_property
    def export(self) -> Path:
        """The run's export."""
        path = self.new_path("export")
        self.build.verb("export", self.finetuned, "--output", path)
        return path
