#!/usr/bin/env bash
# Guess: sums over many rows in bfloat16 or float16 are taken in float32 and
# rounded once, as matrix products are and as GPUs do it.
# Seen, on CPU: the gradient of tf.nn.bias_add adds row after row in bfloat16
# and stops growing at 256, for any number of rows; tf.gather's, in the table,
# does so at 256 in bfloat16 and at 2,048 in float16. tf.reduce_sum over rows
# is right in bfloat16; in float16 16,384 equal values give a fifth of their
# sum. A product with a row of ones is right in both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0
cat >"$folder/run.py" <<'PY'
import sys

import tensorflow as tf

ROWS = 16384


def bias_gradient(dtype):
    bias = tf.zeros([4], dtype)
    with tf.GradientTape() as tape:
        tape.watch(bias)
        total = tf.reduce_sum(
            tf.cast(tf.nn.bias_add(tf.zeros([ROWS, 4], dtype), bias), tf.float32)
        )
    return float(tape.gradient(total, bias)[0])


def table_gradient(dtype):
    table = tf.zeros([4, 4], dtype)
    with tf.GradientTape() as tape:
        tape.watch(table)
        rows = tf.gather(table, tf.zeros([ROWS], tf.int32))
        total = tf.reduce_sum(tf.cast(rows, tf.float32))
    gradient = tf.convert_to_tensor(tape.gradient(total, table))
    return float(gradient[0, 0])


def column_sum(dtype):
    values = tf.fill([ROWS, 4], tf.constant(0.001147, dtype))
    wanted = float(values[0, 0]) * ROWS
    return float(tf.reduce_sum(values, axis=0)[0]) / wanted


def product(dtype):
    return float(tf.matmul(tf.ones([1, ROWS], dtype), tf.ones([ROWS, 4], dtype))[0, 0])


print("tensorflow", tf.__version__, "-", ROWS, "rows of ones")
seen = {}
for dtype in (tf.float32, tf.bfloat16, tf.float16):
    seen[dtype.name] = (
        bias_gradient(dtype),
        table_gradient(dtype),
        round(column_sum(dtype), 2),
        product(dtype),
    )
    print(
        "%-8s  bias_add's gradient %7.0f  gather's %7.0f  reduce_sum, share of "
        "the right one %.2f  product with ones %7.0f" % (dtype.name, *seen[dtype.name])
    )
right = (ROWS, ROWS, 1.0, ROWS)
ok = (
    seen["float32"] == right
    and seen["bfloat16"] == (256, 256, 1.0, ROWS)
    and seen["float16"][2] < 0.9
    and seen["float16"][3] == ROWS
)
sys.exit(0 if ok else 1)
PY
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/run.py" 2>/dev/null
