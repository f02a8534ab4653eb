"""Three real processes make the updates that one device makes.

Two of them, with records and checkpoints, are in test_pretrain.py.
"""

import numpy as np
import pytest
from worker_processes import results_of

pytestmark = pytest.mark.long


def test_workers_give_the_same_weights_and_figures(tmp_path):
    [one_device] = results_of("worker_steps.py", tmp_path, 0)
    assert one_device["norm"] > 0.5  # Clipping is on.
    assert np.isfinite(one_device["weights"]).all()
    assert one_device["chiefs"] == 7
    for found in results_of("worker_steps.py", tmp_path, 3):
        assert set(found) == set(one_device)
        for name, wanted in one_device.items():
            np.testing.assert_allclose(
                found[name], wanted, rtol=1e-5, atol=1e-5, err_msg=name
            )
