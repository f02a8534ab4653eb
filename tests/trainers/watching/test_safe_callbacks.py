"""What only watches a run does not end it."""

import keras
from step_cases import batches, make_data, make_model

from trainers.watching.safe_callbacks import Harmless


class Watcher(keras.callbacks.Callback):
    """Fails at the second batch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(self.model.step)
        if batch:
            raise KeyError("masked_lm_answers")

    def on_train_end(self, logs=None):
        self.seen.append("end")


def test_a_failing_watcher_is_left_out(caplog):
    model, watcher, other = make_model(), Watcher(), keras.callbacks.History()
    model.fit(
        batches(model, make_data()),
        steps_per_epoch=4,
        verbose=0,
        shuffle=False,
        callbacks=[Harmless(watcher), Harmless(other)],
    )
    assert watcher.seen == [1, 2] and model.step == 4
    said = caplog.text
    assert said.count("Watcher failed and is left out from here on") == 1
    assert "KeyError: 'masked_lm_answers'" in " ".join(said.split())
    # A sound one behind it has seen all of it.
    assert len(other.history["loss"]) == 1
