"""Two real processes, each with micro-batches, compare all examples."""

import numpy as np
import pytest
from worker_processes import results_of

pytestmark = pytest.mark.long


def test_two_workers_make_the_update_of_one_device(tmp_path):
    [wanted] = results_of("worker_vectors.py", tmp_path, 0)
    for found in results_of("worker_vectors.py", tmp_path, 2):
        np.testing.assert_allclose(
            found["weights"], wanted["weights"], atol=1e-6
        )
        np.testing.assert_allclose(found["loss"], wanted["loss"], rtol=1e-5)
