#!/usr/bin/env bash
# One would guess that `layer.trainable = True` makes everything in a layer
# trainable again, as its docstring says ("sets trainable attribute for the
# layer and its sublayers"). On the TensorFlow backend an attribute that is set
# to what it is already is passed over: where only a sublayer was frozen, it
# stays frozen. `False` and then `True` works, and so does the JAX backend.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow-cpu==2.20.0 keras==3.15.1 jax==0.7.2
cd "$folder"
cat > look.py <<'PYTHON'
import sys

import keras


class Two(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.first = keras.layers.Dense(2)
        self.second = keras.layers.Dense(2)

    def build(self, shape):
        self.first.build(shape)
        self.second.build(shape)


layer = Two()
layer.build((1, 2))
layer.first.trainable = False
layer.trainable = True
once = len(layer.trainable_variables)
layer.trainable = False
layer.trainable = True
twice = len(layer.trainable_variables)
print(keras.backend.backend(), keras.__version__, "True:", once,
      "of 4 variables; False, then True:", twice)
assert [once, twice] == [int(sys.argv[1]), 4], "the behaviour has changed"
PYTHON
export TF_CPP_MIN_LOG_LEVEL=3
KERAS_BACKEND=tensorflow "$folder/venv/bin/python" look.py 2
KERAS_BACKEND=jax "$folder/venv/bin/python" look.py 4
