#!/usr/bin/env bash
# One would guess that a model which is saved and loaded trains on as it would
# have without that: weights, the optimizer's moments and its step are in the
# .keras file. The state of dropout is not: `Dropout(seed=...)` begins its masks
# anew, so that whoever saves, loads and goes on each epoch drops the same
# places in each.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow-cpu==2.20.0 keras==3.15.1
cd "$folder"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import keras
import numpy as np

x = np.arange(400, dtype="float32").reshape(4, 100) / 400
model = keras.Sequential([keras.Input((100,)), keras.layers.Dropout(0.2, seed=1)])
model.compile("sgd", "mse")
steps = {"batch_size": 4, "shuffle": False, "verbose": 0}
seen = model.fit(x, x, epochs=3, **steps).history["loss"]
model.save("saved.keras")
going_on = model.fit(x, x, epochs=3, **steps).history["loss"]
copy = keras.saving.load_model("saved.keras")
loaded = copy.fit(x, x, epochs=3, **steps).history["loss"]
print("keras", keras.__version__)
print("first three steps: ", seen)
print("the next three:    ", going_on)
print("the loaded model's:", loaded)
assert seen != going_on, "the behaviour has changed"
assert loaded == seen, "the behaviour has changed"
PYTHON
