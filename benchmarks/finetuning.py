"""Fine-tuning here and by Hugging Face's Trainer: the same figures?

    python -m benchmarks.finetuning --init_from runs/mini \
        --train train.tsv --test test.tsv

Both start from the same weights (converted by `tfbert convert`), see the same
examples with the same settings (AdamW, linear warm-up over a tenth and linear
decay, dropout, clipping at 1), once for each seed, in turn; order, dropout and
the new head differ. A row of each turn has the start-up (reading, building,
the first step) apart from the other steps, both with the seconds of all
processors, and the test accuracy; then mean and standard deviation. Beside
other load the seconds of processors are what can be compared.
Needs the extra [hf] and `accelerate`.
"""

import argparse
import dataclasses
import importlib.util
import os
import statistics
import tempfile
import time
from pathlib import Path

# Threads of one contender must not spin while the other has its turn.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import keras

from tfrecords.labelled import classification, sentences
from trainers import convert
from trainers.files import environment
from trainers.finetuning import finetune

PEERS = ("torch", "transformers", "accelerate")


@dataclasses.dataclass
class Turn:
    """Moments of one training, as (wall, processors) seconds.

    Attributes:
      begun, first, last: before all, after the first step, after the last.
      steps: how many there were.
      accuracy: of the test file.
    """

    begun: tuple[float, float]
    first: tuple[float, float] | None = None
    last: tuple[float, float] | None = None
    steps: int = 0
    accuracy: float = float("nan")

    @classmethod
    def now(cls) -> "Turn":
        """A turn that begins."""
        return cls(_clocks())

    def stepped(self) -> None:
        """Notes the end of a step."""
        self.steps += 1
        self.last = _clocks()
        if self.first is None:
            self.first = self.last

    def describe(self) -> str:
        """One line: start-up, the other steps, accuracy."""
        start = [b - a for a, b in zip(self.begun, self.first, strict=True)]
        rest = [b - a for a, b in zip(self.first, self.last, strict=True)]
        each = 1000 * rest[1] / max(self.steps - 1, 1)
        return (
            f"start-up {start[0]:6.1f} s, {start[1]:6.1f} s of processors   "
            f"{self.steps - 1} steps {rest[0]:6.1f} s, {rest[1]:6.1f} s of "
            f"processors, {each:6.1f} ms each   accuracy {self.accuracy:.4f}"
        )


def main() -> None:
    """Measures and prints."""
    options = parse_arguments()
    for name in PEERS:
        if importlib.util.find_spec(name) is None:
            raise SystemExit(
                f"{name} is not installed: pip install 'tfbert[hf]' accelerate"
            )
    turns = {"tfbert": [], "transformers": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "source"
        convert.main(
            [options.init_from, "--output", str(source), "--to", "huggingface"]
        )
        print(f"processor: {environment.describe(False)['cpu']}")
        for seed in range(options.seeds):
            for contender, run in (
                ("tfbert", run_ours),
                ("transformers", run_theirs),
            ):
                turn = run(options, folder, seed)
                turns[contender].append(turn)
                print(
                    f"{contender:14} seed {seed}  {turn.describe()}", flush=True
                )
    print(f"{'accuracy':14}{'mean':>8}{'st. dev.':>10}")
    for contender, found in turns.items():
        values = [turn.accuracy for turn in found]
        spread = statistics.stdev(values) if len(values) > 1 else float("nan")
        print(f"{contender:14}{statistics.fmean(values):8.4f}{spread:10.4f}")


def _clocks() -> tuple[float, float]:
    """Seconds on the wall, and of this process' processors."""
    return time.perf_counter(), time.process_time()


def run_ours(options: argparse.Namespace, folder: Path, seed: int) -> Turn:
    """One seed by `finetune`."""
    turn = Turn.now()
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: turn.stepped()
    )
    run = finetune(
        "classification",
        init_from=options.init_from,
        train=options.train,
        run_dir=str(folder / f"ours-{seed}"),
        callbacks=[note],
        max_length=options.max_length,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=seed,
        precision=options.precision,
    )
    turn.accuracy = run.evaluate(options.test)["accuracy"]
    return turn


def run_theirs(options: argparse.Namespace, folder: Path, seed: int) -> Turn:
    """One seed by transformers.Trainer."""
    turn = Turn.now()
    import transformers

    source = folder / "source"
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    train, test = (
        sentences.read_examples(path, ["text"], "label")
        for path in (options.train, options.test)
    )
    labels = classification.label_list(train)
    train, test = (
        Rows(tokenizer, examples, labels, options.max_length)
        for examples in (train, test)
    )
    trainer = _trainer(options, source, folder, seed, tokenizer, train)

    class Note(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **more):
            turn.stepped()

    trainer.add_callback(Note())
    trainer.train()
    answers = trainer.predict(test)
    found = answers.predictions.argmax(1) == test.labels
    turn.accuracy = float(found.mean())
    return turn


class Rows:
    """Examples as transformers.Trainer reads them."""

    def __init__(self, tokenizer, examples, labels, max_length: int):
        self.encoded = tokenizer(
            examples.text_a,
            truncation=True,
            max_length=max_length,
        )
        self.labels = [labels.index(label) for label in examples.labels]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        row = {key: value[index] for key, value in self.encoded.items()}
        return {**row, "labels": self.labels[index]}


def _trainer(options, source, folder, seed, tokenizer, train):
    import transformers

    arguments = transformers.TrainingArguments(
        output_dir=str(folder / f"theirs-{seed}"),
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch_size,
        per_device_eval_batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        warmup_steps=round(
            0.1 * options.epochs * len(train) / options.batch_size
        ),
        weight_decay=0.01,
        adam_epsilon=1e-6,
        max_grad_norm=1.0,
        seed=seed,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=options.precision == "bfloat16",
        disable_tqdm=True,
    )
    transformers.set_seed(seed)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        source, num_labels=max(train.labels) + 1
    )
    # Each batch is padded to its longest text.
    return transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=train,
        processing_class=tokenizer,
    )


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--init_from", required=True, help="a run")
    parser.add_argument("--train", required=True, help="columns text, label")
    parser.add_argument("--test", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--learning_rate", type=float, default=2e-4)
    parser.add_argument(
        "--precision", default="float32", choices=("float32", "bfloat16")
    )
    parser.add_argument("--max_length", type=int, default=64)
    return parser.parse_args()


if __name__ == "__main__":
    main()
