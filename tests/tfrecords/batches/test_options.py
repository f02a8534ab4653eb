"""No dataset of ours has an autotuner that its reader would wait for."""

import ast
import pathlib

import numpy as np

from tfrecords.labelled import batches

ROOT = pathlib.Path(__file__).parents[3]
COLUMNS = {
    "input_ids": np.ones((9, 16), np.int32),
    "input_mask": np.ones((9, 16), np.int32),
}


def check(dataset):
    for made in (dataset, dataset.repeat(), dataset.take(1)):
        assert made.options().autotune.enabled is False


def test_finetuning():
    check(batches.training_batches(COLUMNS, seed=0, global_batch_size=4))
    check(batches.evaluation_batches(COLUMNS, global_batch_size=4)[0])


def test_no_dataset_is_made_anywhere_else():
    """Whoever makes one hands it to `with_options`, which these two do."""
    found = set()
    for room in ("tfbert", "tfrecords", "trainers"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    name = ast.unparse(node.func)
                    if "data.Dataset." in name or "TFRecordDataset" in name:
                        found.add(path.relative_to(ROOT).as_posix())
                        assert "with_options(" in path.read_text()
    assert found == {
        "tfrecords/batches/dataset.py",
        "tfrecords/labelled/batches.py",
        "trainers/watching/event_files.py",
    }
