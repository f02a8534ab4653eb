"""Time of a request: an export beside its peers on the same weights.

    python -m benchmarks.latency --run runs/mini --texts corpus.txt

All turn raw texts into sentence vectors (mean of the token vectors, length
1). "tfbert" is the SavedModel that `tfbert export` writes. "transformers" is
its tokenizer and model under torch's inference mode, padded to the longest
text; once more on one thread, as torch's threads wait for each other, which
costs much where other programs run. "keras-nlp predict" is its preprocessor
and `Backbone.predict`, "keras-nlp call" the same in one tf.function; it pads to
a fixed length, here that of the texts, and of mixed texts that of the longest
row. "ONNX Runtime" is torch's export of the model, fused by ONNX Runtime's own
optimizer of transformers, float32 on all cores; "plain" without that step.
Peers that are not installed are left out.

Contenders take turns (A B A B ...) with the same requests; p50 and p99 are
milliseconds, the median over the turns. "times" is a peer's p50 by tfbert's:
above 1, tfbert is faster. Vectors are compared first, on the first batch of
each kind.
"""

import argparse
import importlib.util
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from tfbert.converters import sources
from tfbert.text.tokenizer import Tokenizer
from trainers.export import write_export

# Texts -> vectors [B, H].
Ask = Callable[[list[str]], np.ndarray]
# The length of texts as they come.
MIXED = 0
ONNX_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def ours(folder: Path) -> Ask:
    """The export."""
    model = tf.saved_model.load(str(folder))
    embed = model.signatures["embed"]
    return lambda texts: embed(text=tf.constant(texts))["embedding"].numpy()


def transformers_models(folder: Path, limit: int) -> dict[str, Ask]:
    """transformers on torch, on all threads and on one."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(
        folder, attn_implementation="sdpa"
    ).eval()

    every = len(os.sched_getaffinity(0))

    def ask(texts: list[str], threads: int = every) -> np.ndarray:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        batch = tokenizer(
            texts,
            padding=True,
            truncation=True,
            max_length=limit,
            return_tensors="pt",
        )
        with torch.inference_mode():
            states = model(**batch).last_hidden_state
            total = (states * batch["attention_mask"][:, :, None]).sum(1)
            return torch.nn.functional.normalize(total).numpy()

    found = {"transformers": ask}
    if every > 1:
        found["transformers, 1 thread"] = lambda texts: ask(texts, 1)
    return found


def onnx_models(folder: Path, limit: int) -> dict[str, Ask]:
    """ONNX Runtime on torch's export, as it is and optimized."""
    import onnxruntime
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    threads = onnxruntime.SessionOptions()
    threads.intra_op_num_threads = len(os.sched_getaffinity(0))

    def asking(file: Path) -> Ask:
        session = onnxruntime.InferenceSession(
            file, threads, providers=["CPUExecutionProvider"]
        )

        def ask(texts: list[str]) -> np.ndarray:
            batch = tokenizer(
                texts,
                padding=True,
                truncation=True,
                max_length=limit,
                return_tensors="np",
            )
            given = {name: batch[name].astype(np.int64) for name in ONNX_INPUTS}
            (states,) = session.run(["states"], given)
            total = (states * batch["attention_mask"][:, :, None]).sum(1)
            return total / np.linalg.norm(total, axis=1, keepdims=True)

        return ask

    plain, fused = onnx_files(folder, tokenizer)
    return {"ONNX Runtime": asking(fused), "ONNX Runtime, plain": asking(plain)}


def onnx_files(folder: Path, tokenizer) -> tuple[Path, Path]:
    """torch's export of a model, and what ONNX Runtime's optimizer makes."""
    import torch
    import transformers
    from onnxruntime.transformers import optimizer

    class States(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = transformers.AutoModel.from_pretrained(
                folder, attn_implementation="eager"
            )

        def forward(self, *inputs):
            named = dict(zip(ONNX_INPUTS, inputs, strict=True))
            return self.model(**named).last_hidden_state

    states = States().eval()
    example = tokenizer(["a text", "two"], padding=True, return_tensors="pt")
    plain, fused = folder / "model.onnx", folder / "fused.onnx"
    torch.onnx.export(
        states,
        tuple(example[name] for name in ONNX_INPUTS),
        plain,
        input_names=list(ONNX_INPUTS),
        output_names=["states"],
        dynamic_axes=dict.fromkeys(
            [*ONNX_INPUTS, "states"], {0: "rows", 1: "tokens"}
        ),
        opset_version=17,
        dynamo=False,
    )
    config = states.model.config
    optimizer.optimize_model(
        str(plain),
        "bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
    ).save_model_to_file(str(fused))
    return plain, fused


def keras_models(folder: Path, length: int) -> dict[str, Ask]:
    """keras-nlp, by its own predict and in one function."""
    import keras_nlp

    backbone = keras_nlp.models.BertBackbone.from_preset(str(folder))
    preprocess = keras_nlp.models.BertTextClassifierPreprocessor.from_preset(
        str(folder), sequence_length=length
    )

    def predict(texts: list[str]) -> np.ndarray:
        batch = preprocess(tf.constant(texts))
        states = backbone.predict(batch, batch_size=len(texts), verbose=0)
        mask = batch["padding_mask"].numpy()[:, :, None]
        total = (states["sequence_output"] * mask).sum(1)
        return total / np.linalg.norm(total, axis=1, keepdims=True)

    @tf.function
    def one(texts):
        batch = preprocess(texts)
        states = backbone(batch, training=False)["sequence_output"]
        mask = tf.cast(batch["padding_mask"], states.dtype)[:, :, None]
        return tf.math.l2_normalize(tf.reduce_sum(states * mask, 1), -1)

    return {
        "keras-nlp call": lambda texts: one(tf.constant(texts)).numpy(),
        "keras-nlp predict": predict,
    }


def texts_of(lines: list[str], tokenizer: Tokenizer, length: int) -> list[str]:
    """Texts of `length` tokens, cut from the lines; or the lines."""
    if length == MIXED:
        return lines
    words = " ".join(lines).split()
    sizes = tokenizer(words).row_lengths().numpy()
    texts, held, tokens = [], [], 2
    for word, size in zip(words, sizes, strict=True):
        if tokens + size > length:
            texts.append(" ".join(held))
            held, tokens = [], 2
        held.append(word)
        tokens += size
    return texts


def batches(texts: list[str], size: int) -> Iterator[list[str]]:
    """Batches of texts, again and again."""
    place = 0
    while True:
        yield [texts[(place + i) % len(texts)] for i in range(size)]
        place += size


def measure(asks: dict[str, Ask], texts, size: int, options) -> dict:
    """Name -> (p50, p99) in milliseconds, medians over the turns.

    In a turn all answer the same requests: as many as tfbert can in the time
    given, 5 at least.
    """
    count = 0
    source = batches(texts, size)
    end = time.perf_counter() + options.seconds
    while count < 5 or time.perf_counter() < end:
        asks["tfbert"](next(source))
        count += 1
    source = batches(texts, size)
    found = {name: [] for name in asks}
    for _ in range(options.turns):
        requests = list(itertools.islice(source, count))
        for name, ask in asks.items():
            for request in requests[:3]:
                ask(request)
            times = [seconds_of(ask, request) for request in requests]
            found[name].append(1e3 * np.percentile(times, [50, 99]))
    return {
        name: tuple(
            statistics.median(column) for column in zip(*t, strict=True)
        )
        for name, t in found.items()
    }


def seconds_of(ask: Ask, request: list[str]) -> float:
    """The time until a request is answered."""
    start = time.perf_counter()
    ask(request)
    return time.perf_counter() - start


def contenders(folders: dict[str, Path], length: int, limit: int) -> dict:
    """Name -> function, of those that are installed."""
    found = {"tfbert": ours(folders["tfbert"])}
    if "huggingface" in folders:
        found |= transformers_models(folders["huggingface"], limit)
        if all(map(importlib.util.find_spec, ("onnxruntime", "onnx"))):
            found |= onnx_models(folders["huggingface"], limit)
    if "keras_hub" in folders:
        found |= keras_models(folders["keras_hub"], length or limit)
    return found


def written(run: str, folder: Path) -> tuple[dict[str, Path], int]:
    """Writes the weights for everyone; returns where, and the longest row."""
    model = sources.read(run)
    folders = {"tfbert": write_export(run, folder / "export", pooling="mean")}
    for kind, packages in (
        ("huggingface", ("transformers", "torch")),
        ("keras_hub", ("keras_nlp",)),
    ):
        if all(importlib.util.find_spec(package) for package in packages):
            folders[kind] = folder / kind
            sources.write(model, kind, folders[kind])
        else:
            print(f"{' or '.join(packages)} is not installed: left out")
    return folders, model.config.max_position_embeddings


def main(argv: list[str] | None = None) -> None:
    """Measures and prints."""
    options = parse_arguments(argv)
    text = Path(options.texts).read_text("utf-8")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    tokenizer = Tokenizer.from_folder(options.run)
    print(f"{'tokens':>7}{'batch':>6}  {'':23}{'p50':>8}{'p99':>8}{'times':>7}")
    with tempfile.TemporaryDirectory() as scratch:
        folders, limit = written(options.run, Path(scratch))
        for length in options.lengths:
            if length > limit:
                continue
            asks = contenders(folders, length, limit)
            texts = texts_of(lines, tokenizer, length)
            want = asks["tfbert"](texts[:4])
            for name, ask in asks.items():
                far = np.abs(ask(texts[:4]) - want).max()
                print(f"vectors of {name} differ by {far:.1e} at most")
            for size in options.batches:
                times = measure(asks, texts, size, options)
                for name, (p50, p99) in times.items():
                    print(
                        f"{length or 'mixed':>7}{size:>6}  {name:23}{p50:8.1f}"
                        f"{p99:8.1f}{p50 / times['tfbert'][0]:7.2f}",
                        flush=True,
                    )


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--run", required=True, help="folder of a pretraining run")
    add("--texts", required=True, help="a file, a text on each line")
    add("--lengths", type=int, nargs="+", default=[16, 128, 512, MIXED],
        help="in tokens; 0: lines as they come")  # fmt: skip
    add("--batches", type=int, nargs="+", default=[1, 8, 32])
    add("--turns", type=int, default=5)
    add("--seconds", type=float, default=1.0, help="of a turn, at least")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
