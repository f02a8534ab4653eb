#!/usr/bin/env bash
# One would guess that a function with tf.custom_gradient can stand wherever the
# plain function can. In a branch of tf.cond it cannot be given a tensor from
# outside of the branch, if the tape is outside of the tf.function: the gradient
# ends in an AssertionError without a word. The same tensor through tf.identity,
# or the tape inside, gives the right number.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow-cpu==2.20.0
cd "$folder"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import tensorflow as tf


@tf.custom_gradient
def cube(x):
    return x**3, lambda upstream: upstream * 3 * x**2


def slope(branch, tape_inside=False):
    def function(x):
        return tf.cond(x > 0, lambda: branch(x), lambda: x)

    def differentiated(function, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x)

    x = tf.constant(1.5)
    if tape_inside:
        return float(tf.function(
            lambda x: differentiated(function, x), autograph=False
        )(x))
    try:
        return float(differentiated(tf.function(function, autograph=False), x))
    except AssertionError as error:
        return f"AssertionError({str(error)!r})"


print("tensorflow", tf.__version__)
print("x**3 in the branch:          ", slope(lambda x: x**3))
print("custom gradient:             ", slope(cube))
print("of tf.identity(x):           ", slope(lambda x: cube(tf.identity(x))))
print("with the tape inside:        ", slope(cube, tape_inside=True))
assert slope(lambda x: x**3) == slope(cube, tape_inside=True) == 6.75
assert slope(lambda x: cube(tf.identity(x))) == 6.75
assert slope(cube) == "AssertionError('')", "the behaviour has changed"
PYTHON
