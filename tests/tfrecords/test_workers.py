import multiprocessing
import os
import time

import pytest

from tfbert.errors import UserError
from tfrecords import tokenizing, workers
from tfrecords.corpus import Corpus, Reading
from tfrecords.tokenizing import Recipe


def test_little_text_takes_few_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_BYTES_WORTH_A_PROCESS", 10)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(3))
    path = tmp_path / "a.txt"
    for size, processes in ((1, 1), (10, 1), (11, 2), (21, 3), (999, 3)):
        path.write_text("x" * size)
        text = Corpus([str(path)], Reading(), None)
        assert workers.enough(text) == processes
    assert workers.enough(Corpus(["-"], Reading(), None)) == 3


def test_the_death_of_a_worker_is_told(tmp_path):
    vocab = str(tmp_path / "vocab.txt")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the"]
    (tmp_path / "vocab.txt").write_text("\n".join(tokens) + "\n")
    chunk = tokenizing.Chunk("train", 0, [b"the"], [("f", 1, 0)])

    def chunks():
        yield chunk
        for child in multiprocessing.active_children():
            child.kill()
        time.sleep(0.5)
        yield chunk

    with pytest.raises(UserError, match="a worker process died"):
        recipe = Recipe(vocab, True, 32, "masked_lm", True, 0)
        with workers.workers(recipe, 2) as results_of:
            list(results_of(chunks()))
