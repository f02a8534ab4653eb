"""Workers with any other variable, step or rollback are told apart."""

from pathlib import Path

import numpy as np
import pytest
from step_cases import make_model

from trainers.checkpoints.checkpoints import Restored
from trainers.distributed.strategies import Distribution
from trainers.files.rollbacks import Rollback
from trainers.run.same_state import check_same_state, fingerprints


@pytest.fixture(scope="module")
def model():
    return make_model(average_decay=0.9)


def test_the_same_on_any_number_of_replicas(model):
    wanted = fingerprints(model)
    assert wanted == fingerprints(model)
    assert wanted == fingerprints(make_model(2, average_decay=0.9))


def test_one_number_of_one_variable_is_enough(model):
    wanted = fingerprints(model)
    variables = [
        ("model", model.task.trainable_variables[-1]),
        ("optimizer and averages", model.optimizer.variables[-1]),
        ("optimizer and averages", model.optimizer.iterations),
        ("optimizer and averages", model.average.averages[0]),
    ]
    for name, variable in variables:
        before = np.array(variable)
        changed = before.copy()
        changed[(0,) * changed.ndim] += 1
        variable.assign(changed)
        found = fingerprints(model)
        assert {key for key in wanted if found[key] != wanted[key]} == {name}
        variable.assign(before)
    assert fingerprints(model) == wanted


class Asked(Distribution):
    """Notes what workers would compare."""

    def agree(self, about, facts, status=2, advice=""):
        asked.append((about, facts(), status, advice))


asked = []


def compared(model, restored, rollbacks):
    asked.clear()
    check_same_state(Asked(None, "one_device"), model, restored, rollbacks)
    return list(asked)


def test_what_is_compared(model):
    checkpoint, weights = compared(model, None, [])
    assert checkpoint[1]["restored step"] is None
    assert weights[:3] == ("weights", fingerprints(model), 2)
    # Another start may cure the one, and not the other.
    assert checkpoint[2] == 6
    restored = Restored(20, Path("x"), ["step 30 is damaged"], {"step": 20})
    found = [
        compared(model, None, []),
        compared(model, restored, []),
        compared(model, restored, [Rollback(20, 25, 20, 24)]),
        compared(model, Restored(20, Path("x"), [], {"step": 2}), []),
    ]
    facts = [checkpoint[1] for checkpoint, _ in found]
    assert all(facts.count(each) == 1 for each in facts)
    assert "step 30 is damaged" in found[1][0][3]
