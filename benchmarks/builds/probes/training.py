"""A small model in training, for the probes that need one."""

import numpy as np
import tensorflow as tf

from benchmarks.builds.probes.defined import defined


def compiled(size: str, dtype: str, **changes):
    """(compiled TrainingModel of the pretraining task, its BertConfig)."""
    config_class, adamw, task = defined(
        "tfbert", "BertConfig", "AdamW", "PretrainingTask"
    )
    [training_model] = defined("trainers", "TrainingModel")
    config = config_class.preset(size, **changes)
    policy = "mixed_bfloat16" if dtype == "bfloat16" else "float32"
    model = training_model(task(config, dtype=policy))
    model.compile(adamw(1e-4))
    return model, config


def repeated(config, rows: int, length: int, predictions: int):
    """One batch of random tokens again and again, without the autotuner."""
    rng, slots = np.random.default_rng(0), (rows, predictions)
    places = [rng.permutation(length)[:predictions] for _ in range(rows)]
    whole = {
        "input_ids": rng.integers(0, config.vocab_size, (rows, length)),
        "input_mask": np.ones((rows, length)),
        "segment_ids": np.zeros((rows, length)),
        "masked_lm_positions": np.sort(places, axis=1),
        "masked_lm_ids": rng.integers(0, config.vocab_size, slots),
    }
    batch = {key: value.astype(np.int32) for key, value in whole.items()}
    batch["masked_lm_weights"] = np.ones(slots, np.float32)
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_tensors(batch).repeat()
    return dataset.with_options(options)
