"""Whether all workers begin the next step from the same state.

Each reads weights and checkpoints by itself. Where their disks differ, or what
a network file system shows them of one, they would go on together: gradients
of different weights are added up without an error.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from tfbert.weights.variables import named_variables
from trainers.checkpoints.checkpoints import Restored, other_variables
from trainers.distributed.strategies import Distribution
from trainers.files import exit_status
from trainers.files.rollbacks import Rollback


def check_same_state(
    distribution: Distribution,
    model,
    restored: Restored | None,
    rollbacks: Sequence[Rollback],
) -> None:
    """Compares what all workers have just initialised or restored.

    Args:
      distribution: knows the workers.
      model: a TrainingModel.
      restored: what came from a checkpoint, if there was one.
      rollbacks: those of the run so far.

    Raises:
      UserError: names what differs and where, on all workers. Another start
        may help (status 6) where they restored different checkpoints, and
        not (2) where the weights themselves differ.
    """

    def found():
        return {
            "restored step": restored and restored.step,
            "rollbacks": [str(each) for each in rollbacks],
            "checkpoint.json": restored
            and json.dumps(restored.state, sort_keys=True),
        }

    passed_over = restored.passed_over if restored else []
    distribution.agree(
        "checkpoint",
        found,
        exit_status.NOT_STARTED,
        "\n".join(
            [
                "All need the same runtime.run_dir. What one of them could not "
                "read, or not see yet (a network file system keeps lists of "
                "files), may be there at another start.",
                *passed_over,
            ]
        ),
    )
    distribution.agree(
        "weights",
        lambda: fingerprints(model),
        advice="Is what model.init_from names the same on all of them?",
    )


def fingerprints(model) -> dict[str, str]:
    """Hashes of all variables that a checkpoint holds.

    Args:
      model: a TrainingModel.

    Returns:
      "model" and "optimizer and averages" -> hash of names and values.
    """
    parts = {
        "model": named_variables(model.task),
        "optimizer and averages": other_variables(model),
    }
    return {name: _hash(variables) for name, variables in parts.items()}


def _hash(variables: Mapping) -> str:
    found = hashlib.blake2b(digest_size=8)
    for name in sorted(variables):
        # One at a time: there may be no room for a copy of all.
        value = keras.ops.convert_to_numpy(variables[name])
        found.update(f"{name} {value.dtype} {value.shape} ".encode())
        found.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8))
    return found.hexdigest()
