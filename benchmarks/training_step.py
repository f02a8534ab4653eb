"""One training step, side by side: tfbert, keras-nlp, Model Garden.

    python benchmarks/training_step.py --sizes tiny mini --dtypes bfloat16

Every contender is a `tf.function` of forward pass, backward pass and AdamW
over the same batch, with dropout 0.1. Contenders take turns in one process,
and between them the rate of a large matrix product is measured; a row is the
median over the turns. "cpu" is the processor time of all threads: it hardly
depends on what else the machine does, where the wall time does. Peers that
are not installed are left out (`pip install tfbert[peers]`).
"""

import argparse
import importlib.util
import json
import statistics
import time

import numpy as np
import tensorflow as tf

from tfbert.config import PRESETS, BertConfig
from tfbert.optimizers import AdamW
from tfbert.tasks import PretrainingTask

LEARNING_RATE, DECAY, EPSILON = 1e-4, 0.01, 1e-6


def make_batch(config: BertConfig, rows: int, length: int, predictions: int):
    """Returns a batch of the pretraining task with nothing padded."""
    rng = np.random.default_rng(0)
    positions = [
        rng.choice(length, predictions, replace=False) for _ in range(rows)
    ]
    vocabulary, slots = config.vocab_size, (rows, predictions)
    batch = {
        "input_ids": rng.integers(0, vocabulary, (rows, length)),
        "input_mask": np.ones((rows, length)),
        "segment_ids": np.zeros((rows, length)),
        "masked_lm_positions": np.sort(positions, axis=1),
        "masked_lm_ids": rng.integers(0, vocabulary, slots),
    }
    batch = {key: tf.constant(value, tf.int32) for key, value in batch.items()}
    batch["masked_lm_weights"] = tf.ones(slots)
    return batch


def make_step(forward, variables, apply):
    """Returns a step: `forward(index)` is the loss, `apply` the optimizer."""

    @tf.function
    def step(index):
        with tf.GradientTape() as tape:
            loss = forward(index)
        apply(tape.gradient(loss, variables))
        return loss

    return step


def tfbert_step(config, dtype, batch):
    task = PretrainingTask(config, dtype=dtype)
    # The pooler gets no gradient without next-sentence prediction.
    variables = [
        v for v in task.trainable_variables if "/pooler/" not in v.path
    ]
    optimizer = AdamW(LEARNING_RATE, weight_decay=DECAY, epsilon=EPSILON)
    optimizer.build(variables)

    def forward(index):
        seed = tf.stack([1, index])
        outputs = task(batch, training=True, dropout_seed=seed)
        sums, weights = task.loss_sums(batch, outputs), task.loss_weights(batch)
        return sum(sums[name] / weights[name] for name in sums)

    return make_step(forward, variables, optimizer.apply)


def keras_nlp_step(config, dtype, batch):
    import keras
    import keras_nlp

    backbone = keras_nlp.models.BertBackbone(
        vocabulary_size=config.vocab_size,
        num_layers=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        hidden_dim=config.hidden_size,
        intermediate_dim=config.intermediate_size,
        dropout=config.hidden_dropout_prob,
        max_sequence_length=config.max_position_embeddings,
        dtype=dtype,
    )
    model = keras_nlp.models.BertMaskedLM(backbone)
    variables = [
        v for v in model.trainable_variables if "pooled_dense" not in v.path
    ]
    optimizer = keras.optimizers.AdamW(
        LEARNING_RATE, weight_decay=DECAY, epsilon=EPSILON
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(variables)
    features = {
        "token_ids": batch["input_ids"],
        "padding_mask": batch["input_mask"],
        "segment_ids": batch["segment_ids"],
        "mask_positions": batch["masked_lm_positions"],
    }
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def forward(index):
        logits = model(features, training=True)
        return loss(batch["masked_lm_ids"], logits, batch["masked_lm_weights"])

    return make_step(forward, variables, optimizer.apply)


def model_garden_step(config, dtype, batch):
    import tf_keras
    from official.modeling.optimization.legacy_adamw import AdamWeightDecay
    from official.nlp import modeling

    tf_keras.mixed_precision.set_global_policy(dtype)
    encoder = modeling.networks.BertEncoderV2(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        max_sequence_length=config.max_position_embeddings,
        type_vocab_size=config.type_vocab_size,
        inner_dim=config.intermediate_size,
        output_dropout=config.hidden_dropout_prob,
        attention_dropout=config.attention_probs_dropout_prob,
    )
    activation = tf_keras.activations.gelu
    model = modeling.models.BertPretrainerV2(encoder, mlm_activation=activation)
    features = {
        "input_word_ids": batch["input_ids"],
        "input_mask": batch["input_mask"],
        "input_type_ids": batch["segment_ids"],
        "masked_lm_positions": batch["masked_lm_positions"],
    }
    model(features)
    variables = [v for v in model.trainable_variables if "pooler" not in v.name]
    optimizer = AdamWeightDecay(
        LEARNING_RATE,
        epsilon=EPSILON,
        weight_decay_rate=DECAY,
        exclude_from_weight_decay=["LayerNorm", "layer_norm", "bias"],
        gradient_clip_norm=0.0,
    )

    def forward(index):
        logits = model(features, training=True)["mlm_logits"]
        losses = tf_keras.losses.sparse_categorical_crossentropy(
            batch["masked_lm_ids"], tf.cast(logits, tf.float32), True
        )
        weights = batch["masked_lm_weights"]
        return tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)

    def apply(gradients):
        pairs = zip(gradients, variables, strict=True)
        optimizer.apply_gradients([p for p in pairs if p[0] is not None])

    return make_step(forward, variables, apply)


CONTENDERS = {
    "tfbert": (None, tfbert_step),
    "keras-nlp": ("keras_nlp", keras_nlp_step),
    "model-garden": ("official", model_garden_step),
}


def matmul_meter(dtype: str, size: int = 2048):
    """Returns a function that measures the rate of a product, in FLOP/s."""
    dtype = "bfloat16" if "bfloat16" in dtype else "float32"
    left = tf.cast(tf.random.stateless_normal([size, size], [1, 2]), dtype)

    @tf.function
    def product():
        return tf.matmul(left, left)

    product()

    def measure():
        start = time.perf_counter()
        product().numpy()
        return 2 * size**3 / (time.perf_counter() - start)

    return measure


def step_flops(config: BertConfig, rows: int, length: int, predictions: int):
    """Returns the matrix products' operations of a step: 3 x the forward."""
    hidden, inner = config.hidden_size, config.intermediate_size
    token = 2 * (4 * hidden * hidden + 2 * hidden * inner)
    token += 2 * 2 * length * hidden
    head = 2 * hidden * (hidden + config.vocab_size)
    tokens = rows * length
    layers = config.num_hidden_layers
    return 3 * (layers * tokens * token + rows * predictions * head)


def measure(size: str, dtype: str, options) -> dict:
    """Times all contenders in turn; returns medians by contender."""
    config = BertConfig.preset(size, hidden_act=options.hidden_act)
    rows = options.batch or (8 if size in ("base", "large") else 32)
    shape = (rows, options.length, options.predictions)
    batch = make_batch(config, *shape)
    policy = "mixed_bfloat16" if dtype == "bfloat16" else "float32"
    steps, times, work = {}, {}, {}
    for name in options.contenders:
        module, make = CONTENDERS[name]
        if module and importlib.util.find_spec(module) is None:
            continue
        steps[name] = make(config, policy, batch)
        times[name], work[name] = [], []
        for index in range(2):
            loss = float(steps[name](tf.constant(index)))
        print(f"  {name}: loss {loss:.3f}", flush=True)
    meter, rates = matmul_meter(policy), []
    for index in range(options.rounds):
        for name, step in steps.items():
            rates.append(meter())
            start, processor = time.perf_counter(), time.process_time()
            step(tf.constant(index)).numpy()
            times[name].append(time.perf_counter() - start)
            work[name].append(time.process_time() - processor)
    rate = statistics.median(rates)
    flops = step_flops(config, *shape)
    result = {"size": size, "dtype": dtype, "rows": rows, "matmul": rate}
    for name, values in times.items():
        seconds = statistics.median(values)
        result[name] = {
            "milliseconds": round(1000 * seconds, 1),
            "share_of_matmul_rate": round(flops / seconds / rate, 3),
            "fastest": round(1000 * min(values), 1),
            "cpu_milliseconds": round(1000 * statistics.median(work[name]), 1),
        }
    return result


def report(result: dict) -> None:
    print(
        f"{result['size']} {result['dtype']}, batch {result['rows']}, "
        f"matmul {result['matmul'] / 1e9:.0f} GFLOP/s"
    )
    ours = result.get("tfbert")
    for name in CONTENDERS:
        if name in result:
            row = result[name]
            columns = [f"  {name:13}"]
            for key in ("milliseconds", "fastest", "cpu_milliseconds"):
                label = key.replace("milliseconds", "").strip("_") or "median"
                columns.append(f"{label} {row[key]:.1f} ms")
                if ours:
                    columns[-1] += f" ({row[key] / ours[key]:.2f} x)"
            share = 100 * row["share_of_matmul_rate"]
            columns.append(f"{share:.0f} % of matmul")
            print("  ".join(columns), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--sizes", nargs="+", default=["tiny", "mini"], choices=PRESETS)
    add("--dtypes", nargs="+", default=["float32", "bfloat16"])
    add("--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    add("--batch", type=int, default=None, help="default 32; 8 for base")
    add("--length", type=int, default=128)
    add("--predictions", type=int, default=20)
    add("--rounds", type=int, default=9)
    add("--hidden_act", default="gelu")
    add("--output", default=None, help="JSON file for the figures")
    options = parser.parse_args()
    results = []
    for size in options.sizes:
        for dtype in options.dtypes:
            results.append(measure(size, dtype, options))
            report(results[-1])
    if options.output:
        with open(options.output, "w", encoding="utf-8") as stream:
            json.dump(results, stream, indent=2)


if __name__ == "__main__":
    main()
