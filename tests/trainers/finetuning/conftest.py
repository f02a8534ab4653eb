"""`finetune` with settings for a run of a second."""

import pytest
from few_reviews import ROWS, TINY


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory, vocabulary):
    from tfbert.text.tokenizer import Tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    Tokenizer(vocabulary).save(folder)
    return folder


@pytest.fixture(scope="session")
def quick(tokenizer):
    """Returns a function: keywords -> a run of a few steps."""

    from trainers.finetuning import finetune

    def run(*kind, **keywords):
        given = {
            "train": ROWS,
            "preset": "tiny",
            "model": TINY,
            "tokenizer": tokenizer,
            "max_length": 12,
            "batch_size": 8,
            "learning_rate": 0.02,
            "steps": 2,
            "precision": "float32",
        }
        return finetune(*kind, **(given | keywords))

    return run
