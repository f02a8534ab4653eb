"""Finds the setting that a user meant: by spelling, then by meaning."""

import difflib
import re
from collections.abc import Iterable

# What others call it -> the last part of what it is called here. The names
# are those of transformers' TrainingArguments, of google-research/bert's
# flags, of keras and of everyday use.
MEANINGS = {
    "adam_beta1": "beta_1",
    "adam_beta2": "beta_2",
    "adam_epsilon": "epsilon",
    "b": "batch_size",
    "beta1": "beta_1",
    "beta2": "beta_2",
    "bf16": "precision",
    "bs": "batch_size",
    "checkpoint": "init_from",
    "config_name": "preset",
    "dev": "validation",
    "dev_file": "validation",
    "do_lower_case": "lowercase",
    "dropout": "hidden_dropout_prob",
    "dtype": "precision",
    "early_stopping_patience": "early_stopping",
    "eps": "epsilon",
    "eval_file": "validation",
    "eval_interval": "evaluate_every",
    "eval_steps": "evaluate_every",
    "fp16": "precision",
    "gpus": "devices",
    "gradient_accumulation": "accumulation_steps",
    "gradient_accumulation_steps": "accumulation_steps",
    "gradient_checkpointing": "recompute",
    "grad_clip": "clip_norm",
    "hidden_dim": "hidden_size",
    "init_checkpoint": "init_from",
    "input_file": "records",
    "jit_compile": "xla",
    "label": "label_column",
    "log_interval": "log_every",
    "logging_steps": "log_every",
    "lr": "learning_rate",
    "lr_scheduler_type": "schedule",
    "max_grad_norm": "clip_norm",
    "max_len": "max_length",
    "max_predictions_per_seq": "max_predictions",
    "max_seq_len": "max_length",
    "max_seq_length": "max_length",
    "max_steps": "steps",
    "mixed_precision": "precision",
    "mlm_probability": "rate",
    "masked_lm_prob": "rate",
    "model": "init_from",
    "model_dir": "run_dir",
    "model_name": "init_from",
    "model_name_or_path": "init_from",
    "num_epochs": "epochs",
    "num_gpus": "devices",
    "num_heads": "num_attention_heads",
    "num_layers": "num_hidden_layers",
    "num_steps": "steps",
    "num_train_epochs": "epochs",
    "num_train_steps": "steps",
    "num_warmup_steps": "warmup_steps",
    "optim": "optimizer",
    "out": "run_dir",
    "output": "run_dir",
    "output_dir": "run_dir",
    "patience": "early_stopping",
    "per_device_train_batch_size": "batch_size",
    "preset_name": "preset",
    "pretrained": "init_from",
    "save_steps": "checkpoint_every",
    "save_total_limit": "keep_checkpoints",
    "seq_len": "max_length",
    "sequence_length": "max_length",
    "size": "preset",
    "text": "text_columns",
    "text_column": "text_columns",
    "train_batch_size": "batch_size",
    "train_data": "train",
    "train_file": "train",
    "train_steps": "steps",
    "val": "validation",
    "val_file": "validation",
    "validation_file": "validation",
    "vocab": "tokenizer",
    "vocab_file": "tokenizer",
    "warmup": "warmup_steps",
    "warmup_ratio": "warmup_share",
    "wd": "weight_decay",
}


def nearest_setting(word: str, known: Iterable[str]) -> str | None:
    """The setting that `word` was to be, or None.

    Args:
      word: a name that is no setting, with or without its section, with
        hyphens or underscores.
      known: the settings that exist, "section.name".

    Returns:
      first one with the same last part, then one that is called so elsewhere,
      then one that is spelt almost so.
    """
    known = sorted(known)
    word = re.sub("-", "_", word)
    leaves: dict[str, str] = {}
    for name in known:
        leaves.setdefault(name.rsplit(".", 1)[-1], name)
    last = word.rsplit(".", 1)[-1]
    if word in known or last in leaves:
        return word if word in known else leaves[last]
    if last in MEANINGS and MEANINGS[last] in leaves:
        return leaves[MEANINGS[last]]
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.75)
    if near:
        return near[0]
    near = difflib.get_close_matches(last, leaves, n=1, cutoff=0.75)
    return leaves[near[0]] if near else None
