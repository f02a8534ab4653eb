"""Callbacks that a user names, and those that end a run."""

import keras
import pytest

from tfbert.errors import UserError
from trainers.pretraining import pretrain
from trainers.run import own_callbacks

TINY = {
    "num_hidden_layers": 1,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 16,
}
MODULE = """
import keras

class Noting(keras.callbacks.Callback):
    steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self.model.step)

class Choosy(keras.callbacks.Callback):
    def __init__(self, what):
        super().__init__()

NUMBER = 7
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with a module of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("/nowhere")
    (tmp_path / "my_callbacks.py").write_text(MODULE)
    return tmp_path


def train(corpus, run_dir, devices=None, **settings):
    given = {"preset": "tiny", "model": TINY, "batch_size": 4, "steps": 6}
    given |= {"evaluate_every": 2, "precision": "float32", "devices": devices}
    return pretrain(corpus / "records", run_dir=run_dir, **(given | settings))


def test_a_class_is_named_and_told(folder, small_corpus):
    names = ["my_callbacks.Noting", "my_callbacks:Noting"]
    train(
        small_corpus,
        folder / "run",
        steps=2,
        callbacks=None,
        settings={"runtime.callbacks": names},
    )
    import my_callbacks

    assert my_callbacks.Noting.steps == [1, 1, 2, 2]


@pytest.mark.parametrize(
    "name,message",
    [
        ("Noting", "which names no module"),
        ("nowhere.Noting", "there is no nowhere.Noting"),
        ("my_callbacks.Nothing", "there is no my_callbacks.Nothing"),
        ("my_callbacks.NUMBER", "wanted a class of Keras callbacks"),
        ("my_callbacks.Choosy", "cannot be made without arguments"),
        ("keras.callbacks.ReduceLROnPlateau", "sets the learning rate"),
    ],
)
def test_a_wrong_name_is_told(folder, name, message):
    with pytest.raises(UserError, match=message):
        own_callbacks.make([name])


@pytest.mark.parametrize(
    "devices", [None, pytest.param(2, marks=pytest.mark.long)]
)
def test_a_callback_may_end_a_run_for_good(small_corpus, tmp_path, devices):
    def stop():
        return keras.callbacks.EarlyStopping("val_loss", 1, mode="max")

    run = train(
        small_corpus,
        tmp_path / "run",
        devices,
        callbacks=[stop()],
        learning_rate=1e-2,
    )
    assert run.figures["step"] in (4, 6)
    if run.figures["step"] == 4:
        again = train(
            small_corpus,
            tmp_path / "run",
            devices,
            callbacks=[stop()],
            learning_rate=1e-2,
        )
        assert again.figures == run.figures and again.history == {}
