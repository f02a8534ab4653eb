#!/usr/bin/env bash
# Guess: every cross-device reduction that MirroredStrategy takes gives the sum
# over all replicas, whatever their number; it is what the class is for.
# Seen: tf.distribute.HierarchicalCopyAllReduce leaves out the last replica of
# three, of five and of seven, without an error or a warning. ReductionToOneDevice
# is right for all numbers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow-cpu==2.20.0
cat >"$folder/run.py" <<'PY'
import sys

import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 8,
)


def total(reduction, count):
    """The sum of 2^i over the replicas i, as the first of them has it."""
    strategy = tf.distribute.MirroredStrategy(
        [f"CPU:{index}" for index in range(count)],
        cross_device_ops=reduction(),
    )

    @tf.function
    def run():
        def on_replica():
            context = tf.distribute.get_replica_context()
            index = tf.cast(context.replica_id_in_sync_group, tf.float32)
            return context.all_reduce(
                tf.distribute.ReduceOp.SUM, tf.pow(2.0, index)
            )

        return strategy.run(on_replica)

    return int(strategy.experimental_local_results(run())[0])


print("tensorflow", tf.__version__)
print("replicas  wanted  HierarchicalCopyAllReduce  ReductionToOneDevice")
wrong = set()
for count in range(2, 9):
    wanted = 2**count - 1
    first = total(tf.distribute.HierarchicalCopyAllReduce, count)
    second = total(tf.distribute.ReductionToOneDevice, count)
    print(f"{count:8} {wanted:7} {first:26} {second:21}")
    assert second == wanted
    if first != wanted:
        wrong.add(count)
sys.exit(0 if wrong == {3, 5, 7} else 1)
PY
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/run.py" 2>/dev/null
