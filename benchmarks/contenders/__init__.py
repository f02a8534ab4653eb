"""Who takes part in benchmarks/training_step.py.

Each contender is a function (config, policy, batch) -> run, and `run(steps)`
makes that many updates and waits for the last; it returns its loss. All of
them see the same batch, have dropout 0.1, AdamW without decay on biases and
norms, and predict the masked places only.

A "step" is a `tf.function` of forward pass, backward pass and optimizer, with
nothing around it; a "fit" is the library's own `fit`, as its users call it.

ours.py, keras_hub.py, model_garden.py, hugging_face.py   one library each
steps.py                                                  what they share
"""

import importlib
import importlib.util

# Name -> (library that it needs, module, function).
CONTENDERS = {
    "tfbert": ("tfbert", "ours", "step"),
    "tfbert fit": ("tfbert", "ours", "fit"),
    "keras-nlp": ("keras_nlp", "keras_hub", "step"),
    "keras-nlp fit": ("keras_nlp", "keras_hub", "fit"),
    "model-garden": ("official", "model_garden", "step"),
    "model-garden fit": ("official", "model_garden", "fit"),
    "hugging-face": ("transformers", "hugging_face", "step"),
}


def find(name: str):
    """The function that makes a contender; None if its library is missing."""
    library, module, function = CONTENDERS[name]
    if importlib.util.find_spec(library) is None:
        return None
    if module == "hugging_face" and importlib.util.find_spec("torch") is None:
        return None
    found = importlib.import_module(f"benchmarks.contenders.{module}")
    return getattr(found, function)
