"""Fine-tuning here and by Hugging Face's Trainer: the same figures?

    python -m benchmarks.finetuning --init_from runs/mini \
        --train train.tsv --test test.tsv

Both start from the same weights (converted by `tfbert convert`), see the same
examples with the same settings (AdamW, linear warm-up over a tenth and linear
decay, dropout, clipping at 1), once for each seed; order, dropout and the new
head differ. Prints the test accuracy of each, mean and standard deviation, and
the time, processor time of all threads included.
Needs the extra [hf] and `accelerate`.
"""

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from tfrecords.labelled import classification, sentences
from trainers import convert, finetune

PEERS = ("torch", "transformers", "accelerate")


def main() -> None:
    """Measures and prints."""
    options = parse_arguments()
    for name in PEERS:
        if importlib.util.find_spec(name) is None:
            raise SystemExit(
                f"{name} is not installed: pip install 'tfbert[hf]' accelerate"
            )
    with tempfile.TemporaryDirectory() as folder:
        start = _clocks()
        ours = run_ours(options, Path(folder) / "ours")
        half = _clocks()
        theirs = run_theirs(options, Path(folder) / "theirs")
        end = _clocks()
    print(f"{'':14}{'mean':>8}{'st. dev.':>10}   each")
    for name, found, seconds in (
        ("tfbert", ours, half - start),
        ("transformers", theirs, end - half),
    ):
        spread = statistics.stdev(found) if len(found) > 1 else float("nan")
        each = " ".join(f"{value:.4f}" for value in found)
        print(
            f"{name:14}{statistics.fmean(found):8.4f}{spread:10.4f}   {each}"
            f"   {seconds[0]:.0f} s, {seconds[1]:.0f} s of processors"
        )


def _clocks() -> np.ndarray:
    """Seconds on the wall, and of this process' processors."""
    return np.array([time.perf_counter(), time.process_time()])


def run_ours(options: argparse.Namespace, folder: Path) -> list[float]:
    """Test accuracy for each seed, by `tfbert finetune`."""
    found = []
    for seed in range(options.seeds):
        run = folder / str(seed)
        finetune.main(
            [
                f"--model.init_from={options.init_from}",
                f"--data.train={options.train}",
                f"--data.max_length={options.max_length}",
                f"--optimization.epochs={options.epochs}",
                f"--optimization.batch_size={options.batch_size}",
                f"--optimization.learning_rate={options.learning_rate}",
                f"--seed={seed}",
                f"--data.test={options.test}",
                f"--runtime.run_dir={run}",
            ]
        )
        [path] = run.glob("evaluation-*.json")
        found.append(json.loads(path.read_text())["accuracy"])
    return found


def run_theirs(options: argparse.Namespace, folder: Path) -> list[float]:
    """Test accuracy for each seed, by transformers.Trainer."""
    import transformers

    source = folder / "source"
    folder.mkdir()
    convert.main(
        [options.init_from, "--output", str(source), "--to", "huggingface"]
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    train, test = (
        sentences.read_examples(path, ["text"], "label")
        for path in (options.train, options.test)
    )
    labels = classification.label_list(train)
    rows = [
        Rows(tokenizer, examples, labels, options.max_length)
        for examples in (train, test)
    ]
    return [
        _train(options, source, folder / str(seed), seed, tokenizer, *rows)
        for seed in range(options.seeds)
    ]


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


def _train(options, source, folder, seed, tokenizer, train, test) -> float:
    import transformers

    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
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
        disable_tqdm=True,
    )
    transformers.set_seed(seed)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        source, num_labels=max(train.labels) + 1
    )
    # Each batch is padded to its longest text.
    trainer = transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=train,
        processing_class=tokenizer,
    )
    trainer.train()
    answers = trainer.predict(test)
    return float(np.mean(answers.predictions.argmax(1) == test.labels))


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
    parser.add_argument("--max_length", type=int, default=64)
    return parser.parse_args()


if __name__ == "__main__":
    main()
