"""What a masked LM knows of grammar, without labels: minimal pairs.

Of two sentences that differ in what makes one of them wrong, the model should
find the right one likelier (Warstadt et al. 2020, "BLiMP", section 4). How
likely: the pseudo-log-likelihood of Salazar et al. 2020.
"""

import collections
import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import rich.table
import rich.text
import tensorflow as tf

from tfbert import files
from tfbert.config import BertConfig
from tfbert.converters import building, own
from tfbert.errors import UserError
from tfbert.file_names import CHECKPOINTS_FOLDER, CONFIG_FILE
from tfbert.serving.graphs.masked_lm.score import score_function
from tfbert.tasks.pretraining import PretrainingTask
from tfbert.text.tokenizer import Tokenizer
from tfbert.weights.variables import (
    assign_tensors,
    named_variables,
    read_tensors,
)
from tfrecords.labelled.files import tables
from trainers.pretraining.evaluation import checkpoint_of

GOOD, BAD = "sentence_good", "sentence_bad"
# What a pair is about, where a column of the file says so; the first of them.
PHENOMENA = ("phenomenon", "UID", "linguistics_term")


@dataclasses.dataclass(frozen=True)
class Pairs:
    """The pairs of a file.

    Attributes:
      path: the file.
      lines: the line of each pair in it.
      good, bad: the sentences.
      phenomena: what each pair is about, or None.
    """

    path: Path
    lines: list[int]
    good: list[str]
    bad: list[str]
    phenomena: list[str] | None


def read_pairs(
    path: str | os.PathLike, reading: tables.Reading = tables.BY_LOOKING
) -> Pairs:
    """Reads columns `sentence_good` and `sentence_bad` of a table.

    Raises:
      UserError: as `tables.read_table`; both sentences of a pair are one.
    """
    path = Path(path)
    names = tables.column_names(path, reading)
    about = next((name for name in PHENOMENA if name in names), None)
    wanted = [GOOD, BAD, *filter(None, [about])]
    table = tables.read_table(path, wanted, reading=reading)
    good, bad = table.columns[GOOD], table.columns[BAD]
    for row, (one, other) in enumerate(zip(good, bad, strict=True)):
        if one == other:
            raise UserError(
                f"{table.where(row)}: wanted two sentences that differ, got "
                f"{one!r} as {GOOD} and {BAD}"
            )
    phenomena = table.columns[about] if about else None
    return Pairs(path, table.lines, good, bad, phenomena)


def measure(
    run_dir: str | os.PathLike,
    data: str | os.PathLike,
    name: str,
    checkpoint: str = "best",
    batch_size: int = 64,
    reading: tables.Reading = tables.BY_LOOKING,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, object]:
    """The share of pairs whose right sentence is the likelier one.

    Writes RUN_DIR/evaluation-NAME.json and RUN_DIR/predictions-NAME.jsonl, a
    line for each pair. The arithmetic is float32. Sentences longer than the
    model's rows are cut to them.

    Args:
      run_dir: folder of a pretraining run, or of a converted model.
      data: a table with the columns `sentence_good` and `sentence_bad`.
      name: of the result files.
      checkpoint: of a run, "best" on held-out data or "last".
      batch_size: sentences that are scored at once; changes only rounding.
      reading: how the table is read.
      told: is told how many pairs are done, and of how many.

    Returns:
      data, task, step (of a run), examples, accuracy (0.5 is chance), ties
      (counted as wrong), and per_phenomenon: name -> accuracy.

    Raises:
      UserError: run or data are not as they should be.
    """
    run_dir = Path(run_dir)
    pairs = read_pairs(data, reading)
    task, step = _task(run_dir, checkpoint)
    tokenizer = Tokenizer.from_folder(run_dir)
    good, bad = _scores(task, tokenizer, pairs, max(1, batch_size // 2), told)
    right = good > bad
    result = {"data": os.fspath(data), "task": "minimal_pairs"}
    result |= {} if step is None else {"step": step}
    result |= {
        "examples": len(right),
        "accuracy": float(right.mean()),
        "ties": int((good == bad).sum()),
    }
    if pairs.phenomena is not None:
        result["per_phenomenon"] = _by(pairs.phenomena, right)
    lines = _lines(pairs, good, bad)
    files.write_file(run_dir / f"predictions-{name}.jsonl", "".join(lines))
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    files.write_file(run_dir / f"evaluation-{name}.json", text)
    return result


def table(result: dict[str, object]) -> rich.table.Table:
    """The accuracy of each phenomenon, where the file names them."""
    shown = rich.table.Table("phenomenon", box=None)
    shown.add_column("accuracy", justify="right")
    for name, value in result.get("per_phenomenon", {}).items():
        shown.add_row(rich.text.Text(name), f"{value:.1%}")
    shown.add_row("all", f"{result['accuracy']:.1%}")
    return shown


def summary(result: dict[str, object]) -> str:
    """The figures of `measure` in a line."""
    where = f"step {result['step']:,}, " if "step" in result else ""
    ties = f", {result['ties']:,} of them equal" if result["ties"] else ""
    return (
        f"{where}{result['examples']:,} pairs of {result['data']}: the right "
        f"sentence is the likelier one in {result['accuracy']:.1%}{ties} "
        "(chance: 50.0%)"
    )


def _task(run_dir: Path, checkpoint: str) -> tuple[PretrainingTask, int | None]:
    """The model in float32, and the step of its weights.

    Raises:
      UserError: there are no weights, or no masked-LM head among them.
    """
    if not run_dir.is_dir():
        raise UserError(
            f"wanted the folder of a run or of a converted model, got "
            f"{run_dir}, which is none"
        )
    if not (run_dir / CHECKPOINTS_FOLDER).is_dir():
        model = own.read(run_dir)
        _check_head("masked_lm" in model.parts, run_dir)
        return building.make_pretraining_task(model, "float32"), None
    step, weights = checkpoint_of(run_dir, checkpoint)
    tensors = read_tensors(weights)
    _check_head(any(key.startswith("masked_lm/") for key in tensors), run_dir)
    has_pairs = any(key.startswith("next_sentence/") for key in tensors)
    config = BertConfig.from_json(run_dir / CONFIG_FILE)
    task = PretrainingTask(config, has_pairs, "float32")
    assign_tensors(named_variables(task), tensors, source=weights)
    return task, step


def _check_head(has_head: bool, run_dir: Path) -> None:
    if not has_head:
        raise UserError(
            f"minimal pairs are judged by a masked-LM head, and {run_dir} has "
            "none; give a pretraining run"
        )


def _scores(
    task, tokenizer: Tokenizer, pairs: Pairs, at_once: int, told
) -> tuple[np.ndarray, np.ndarray]:
    """The log-likelihoods of both sentences of each pair, float32 [B]."""
    max_length = task.encoder.config.max_position_embeddings
    score = tf.function(
        score_function(task, tokenizer, max_length),
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
    found = []
    for first in range(0, len(pairs.good), at_once):
        some = slice(first, first + at_once)
        texts = [*pairs.good[some], *pairs.bad[some]]
        values = score(tf.constant(texts))["log_likelihood"].numpy()
        found.append(values.reshape(2, -1))
        told(min(first + at_once, len(pairs.good)), len(pairs.good))
    good, bad = np.concatenate(found, axis=1)
    return good, bad


def _by(phenomena: list[str], right: np.ndarray) -> dict[str, float]:
    """The accuracy on each phenomenon, in the order of the file."""
    marks = collections.defaultdict(list)
    for phenomenon, mark in zip(phenomena, right, strict=True):
        marks[phenomenon].append(mark)
    return {name: float(np.mean(values)) for name, values in marks.items()}


def _lines(pairs: Pairs, good: np.ndarray, bad: np.ndarray) -> Iterator[str]:
    """A JSON line for each pair."""
    for number, line in enumerate(pairs.lines):
        row = {"line": line}
        if pairs.phenomena is not None:
            row["phenomenon"] = pairs.phenomena[number]
        row |= {
            GOOD: pairs.good[number],
            BAD: pairs.bad[number],
            "log_likelihood_good": float(good[number]),
            "log_likelihood_bad": float(bad[number]),
            "right": bool(good[number] > bad[number]),
        }
        yield json.dumps(row, ensure_ascii=False) + "\n"
