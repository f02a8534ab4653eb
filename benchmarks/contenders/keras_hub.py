"""keras-nlp (keras-hub), as a bare step and by Keras' fit."""

import keras
import keras_nlp
import tensorflow as tf

from benchmarks.contenders import steps
from tfbert.config import BertConfig

NAMES = {
    "token_ids": "input_ids",
    "padding_mask": "input_mask",
    "segment_ids": "segment_ids",
    "mask_positions": "masked_lm_positions",
}


def step(config: BertConfig, policy: str, batch: dict) -> steps.Run:
    """Forward pass, backward pass, AdamW."""
    model, optimizer, loss = _parts(config, policy)
    variables = [
        v for v in model.trainable_variables if "pooled_dense" not in v.path
    ]
    optimizer.build(variables)
    features = steps.renamed(batch, NAMES)
    ids = tf.constant(batch["masked_lm_ids"])
    weights = tf.constant(batch["masked_lm_weights"])

    def forward(_):
        return loss(ids, model(features, training=True), weights)

    return steps.run_step(forward, variables, optimizer.apply)


def fit(config: BertConfig, policy: str, batch: dict) -> steps.Run:
    """BertMaskedLM.fit; XLA where Keras itself turns it on."""
    model, optimizer, loss = _parts(config, policy)
    model.compile(optimizer, loss, jit_compile="auto")
    return steps.run_fit(
        model,
        steps.renamed(batch, NAMES),
        tf.constant(batch["masked_lm_ids"]),
        tf.constant(batch["masked_lm_weights"]),
    )


def _parts(config: BertConfig, policy: str):
    backbone = keras_nlp.models.BertBackbone(
        vocabulary_size=config.vocab_size,
        num_layers=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        hidden_dim=config.hidden_size,
        intermediate_dim=config.intermediate_size,
        dropout=config.hidden_dropout_prob,
        max_sequence_length=config.max_position_embeddings,
        dtype=policy,
    )
    model = keras_nlp.models.BertMaskedLM(backbone)
    optimizer = keras.optimizers.AdamW(
        steps.LEARNING_RATE, weight_decay=steps.DECAY, epsilon=steps.EPSILON
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return model, optimizer, loss
