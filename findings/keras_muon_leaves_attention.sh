#!/usr/bin/env bash
# Guess: keras.optimizers.Muon is for the matrices of hidden layers, so in a
# Transformer of Keras layers it orthogonalises the step of query, key, value
# and output projections, where Muon is said to gain most.
# Seen: keras.layers.MultiHeadAttention keeps these four as kernels of rank 3,
# and Muon takes rank 2 alone, without a word: all of attention gets AdamW's
# step. The classifier's Dense, which its authors leave to AdamW, gets Muon's.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow-cpu==2.20.0 keras==3.15.1
cat >"$folder/run.py" <<'PY'
import sys

import keras
import numpy as np

x = keras.Input((5, 8), name="tokens")
attention = keras.layers.MultiHeadAttention(2, 4, name="attention")
h = keras.layers.LayerNormalization()(x + attention(x, x))
inner = keras.layers.Dense(16, activation="gelu", name="inner")(h)
h = h + keras.layers.Dense(8, name="outer")(inner)
pooled = keras.layers.GlobalAveragePooling1D()(h)
model = keras.Model(x, keras.layers.Dense(3, name="classifier")(pooled))
optimizer = keras.optimizers.Muon(1e-2)
model.compile(optimizer, "mse")
rng = np.random.default_rng(0)
model.fit(rng.normal(size=(16, 5, 8)), rng.normal(size=(16, 3)), verbose=0)

print("keras", keras.__version__)
muon, adam = [], []
for variable in model.trainable_variables:
    if not variable.path.endswith("kernel"):
        continue
    index = optimizer._get_variable_index(variable)
    by_adam = optimizer.adam_velocities[index] is not None
    (adam if by_adam else muon).append(variable.path)
    print(f"{'AdamW' if by_adam else 'Muon':6}{variable.path} {variable.shape}")
wanted = {"inner/kernel", "outer/kernel", "classifier/kernel"}
attends = {f"attention/{n}/kernel" for n in
           ("query", "key", "value", "attention_output")}
sys.exit(0 if (set(muon), set(adam)) == (wanted, attends) else 1)
PY
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/run.py" 2>/dev/null
