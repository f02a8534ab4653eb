"""Runs a model in our code and in a neighbour's own, where it is installed.

The only file of the product that imports peers: `tfbert convert` proves what
it wrote with the code that will read it. Nothing else depends on them.
"""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np

from tfbert.errors import UserError
from tfbert.weights.portable_model import TASKS, Pooling, PortableModel

Outputs = dict[str, np.ndarray]
Batch = dict[str, np.ndarray]
# Format -> the package that computes it.
PACKAGES = {
    "huggingface": "transformers",
    "sentence_transformers": "sentence_transformers",
    "keras_hub": "keras_hub",
}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What two programs say to the same batch.

    Attributes:
      first, second: what was run.
      differences: output -> largest difference of a number.
      largest_output: output -> largest number, to judge the difference by.
    """

    first: str
    second: str
    differences: dict[str, float]
    largest_output: dict[str, float]

    @property
    def largest(self) -> float:
        """The largest difference of all; NaN if one is."""
        return float(np.max([0.0, *self.differences.values()]))

    @property
    def relative(self) -> float:
        """The largest difference, where outputs above 1 count as 1.

        NaN if one is: Python's own max would pass over it.
        """
        relative = [
            value / np.fmax(1.0, self.largest_output[name])
            for name, value in self.differences.items()
        ]
        return float(np.max([0.0, *relative]))


def example_batch(model: PortableModel) -> Batch:
    """Three rows of random ids with padding, segments and odd lengths."""
    config = model.config
    rng = np.random.default_rng(0)
    length = min(config.max_position_embeddings, 37)
    lengths = np.array([length, max(1, length // 2 - 1), max(1, length // 3)])
    places = np.arange(length)
    mask = (places[None] < lengths[:, None]).astype(np.int32)
    segments = (places[None] >= lengths[:, None] // 2).astype(np.int32) * mask
    return {
        "input_ids": rng.integers(0, config.vocab_size, (3, length), np.int32)
        * mask,
        "input_mask": mask,
        "segment_ids": segments * min(1, config.type_vocab_size - 1),
        "masked_lm_positions": np.array(
            [[0, (n - 1) // 2, n - 1] for n in lengths], np.int32
        ),
    }


def our_outputs(model: PortableModel, batch: Batch) -> Outputs:
    """What our layers compute, in float32."""
    from tfbert.converters.building import make_encoder, make_pretraining_task

    if "masked_lm" in model.parts:
        task = make_pretraining_task(model, "float32")
        outputs = {
            name: np.asarray(value) for name, value in task(batch).items()
        }
        encoder = task.encoder
    else:
        encoder, outputs = make_encoder(model, "float32"), {}
    encoded = {k: np.asarray(v) for k, v in encoder(batch).items()}
    outputs |= encoded
    if "pooler" not in model.parts:
        del outputs["pooled_output"]
    if model.pooling is not None:
        vectors = encoded["sequence_output"]
        outputs["embedding"] = _pooled(model.pooling, vectors, batch)
    if "head" in model.parts:
        read = "pooled_output" if TASKS[model.task] else "sequence_output"
        outputs["logits"] = (
            encoded[read] @ model.tensors["classifier/kernel"]
            + model.tensors["classifier/bias"]
        )
    return outputs


def _pooled(pooling: Pooling, vectors: np.ndarray, batch: Batch) -> np.ndarray:
    """One vector of those of the tokens [B, S, H], by plain arithmetic."""
    there = batch["input_mask"][..., None] == 1
    if pooling.mode == "cls":
        found = vectors[:, 0]
    elif pooling.mode == "max":
        found = np.where(there, vectors, -np.inf).max(axis=1)
    else:
        found = (vectors * there).sum(axis=1) / there.sum(axis=1)
    if pooling.normalize:
        found = found / np.linalg.norm(found, axis=1, keepdims=True)
    return found


def peer_outputs(
    kind: str, folder: Path, model: PortableModel, batch: Batch
) -> Outputs | None:
    """What the neighbour's code computes from a folder; None if it cannot.

    Args:
      kind: format of the folder.
      folder: with weights and config.
      model: what is in it.
      batch: from `example_batch`.
    """
    package = PACKAGES.get(kind)
    if package is None or importlib.util.find_spec(package) is None:
        return None
    if kind == "keras_hub":
        return _run_keras_hub(folder, model, batch)
    if importlib.util.find_spec("torch") is None:
        return None
    if kind == "sentence_transformers":
        return _run_sentence_transformers(folder, batch)
    return _run_transformers(folder, model, batch)


def _run_transformers(folder: Path, model: PortableModel, batch: Batch):
    import torch
    import transformers

    from tfbert.converters.huggingface import architecture

    transformers.logging.set_verbosity_error()
    name, _ = architecture(model)
    network = getattr(transformers, name).from_pretrained(
        str(folder), local_files_only=True, dtype=torch.float32
    )
    network.eval()
    inputs = {
        "input_ids": torch.tensor(batch["input_ids"]).long(),
        "attention_mask": torch.tensor(batch["input_mask"]).long(),
        "token_type_ids": torch.tensor(batch["segment_ids"]).long(),
    }
    base = getattr(network, "bert", network)
    with torch.no_grad():
        encoded = base(**inputs)
        sequence = encoded.last_hidden_state
        outputs = {"sequence_output": sequence.numpy()}
        pooled = encoded.pooler_output
        if pooled is not None:
            outputs["pooled_output"] = pooled.numpy()
        if hasattr(network, "cls"):
            words = network.cls.predictions(sequence).numpy()
            outputs["masked_lm_logits"] = np.take_along_axis(
                words, batch["masked_lm_positions"][..., None], axis=1
            )
            if hasattr(network.cls, "seq_relationship"):
                order = network.cls.seq_relationship(pooled)
                outputs["next_sentence_logits"] = order.numpy()
        head = getattr(network, "classifier", None)
        head = getattr(network, "qa_outputs", head)
        if head is not None:
            read = pooled if TASKS[model.task] else sequence
            outputs["logits"] = head(read).numpy()
    return outputs


def _run_sentence_transformers(folder: Path, batch: Batch) -> Outputs:
    import torch
    from sentence_transformers import SentenceTransformer

    network = SentenceTransformer(
        str(folder), device="cpu", local_files_only=True
    )
    features = {
        "input_ids": torch.tensor(batch["input_ids"]).long(),
        "attention_mask": torch.tensor(batch["input_mask"]).long(),
        "token_type_ids": torch.tensor(batch["segment_ids"]).long(),
    }
    with torch.no_grad():
        found = network(features)
    return {"embedding": found["sentence_embedding"].numpy()}


def _run_keras_hub(folder: Path, model: PortableModel, batch: Batch):
    import keras_hub

    inputs = {
        "token_ids": batch["input_ids"],
        "padding_mask": batch["input_mask"],
        "segment_ids": batch["segment_ids"],
    }
    backbone = keras_hub.models.BertBackbone.from_preset(str(folder))
    outputs = {k: np.asarray(v) for k, v in backbone(inputs).items()}
    if model.task == "classification" and model.vocabulary is not None:
        classifier = keras_hub.models.BertTextClassifier.from_preset(
            str(folder), preprocessor=None
        )
        outputs["logits"] = np.asarray(classifier(inputs))
    return outputs


def compare(
    first: tuple[str, Outputs], second: tuple[str, Outputs], batch: Batch
) -> Comparison:
    """Compares the outputs that both have; padding does not count.

    Args:
      first: (what was run, its outputs).
      second: the same.
      batch: what both were given.
    """
    real = batch["input_mask"] == 1
    differences, largest = {}, {}
    for name in first[1]:
        if name not in second[1]:
            continue
        one, two = first[1][name], second[1][name]
        if one.shape[:2] == real.shape and one.ndim == 3:
            one, two = one[real], two[real]
        whole = one.shape == two.shape and np.isfinite(two).all()
        whole = whole and np.isfinite(one).all()
        # Outputs that are not finite prove nothing, equal or not.
        difference = np.abs(one - two).max(initial=0.0) if whole else np.inf
        differences[name] = float(difference)
        largest[name] = float(np.abs(two).max(initial=0.0)) if whole else 1.0
    return Comparison(first[0], second[0], differences, largest)


def version(kind: str) -> str:
    """Name and version of a neighbour's package."""
    package = PACKAGES[kind]
    module = importlib.import_module(package)
    return f"{package} {module.__version__}"


def keras_hub_presets() -> set[str]:
    """The names of BERT presets that the installed keras-hub knows."""
    import keras_hub

    return set(keras_hub.models.BertBackbone.presets)


def download_preset(name: str) -> Path:
    """The folder of a preset, fetched by keras-hub if need be.

    Raises:
      UserError: it cannot be fetched.
    """
    import keras_hub

    handle = keras_hub.models.BertBackbone.presets[name]["kaggle_handle"]
    try:
        import kagglehub

        place = handle.removeprefix("kaggle://")
        return Path(kagglehub.model_download(place))
    except Exception as error:
        # Whatever the network or the service says.
        raise UserError(
            f"keras-hub's preset {name!r} ({handle}) cannot be fetched: "
            f"{error}; fetch it where there is network and give its folder"
        ) from error
