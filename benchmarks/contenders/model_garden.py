"""TensorFlow Model Garden, as a bare step and by its Keras' fit."""

import tensorflow as tf
import tf_keras
from official.modeling.optimization.legacy_adamw import AdamWeightDecay
from official.nlp import modeling

from benchmarks.contenders import steps
from tfbert.config import BertConfig

NAMES = {
    "input_word_ids": "input_ids",
    "input_mask": "input_mask",
    "input_type_ids": "segment_ids",
    "masked_lm_positions": "masked_lm_positions",
}


def step(config: BertConfig, policy: str, batch: dict) -> steps.Run:
    """Forward pass, backward pass, AdamW: the body of its own trainer."""
    features = steps.renamed(batch, NAMES)
    ids = tf.constant(batch["masked_lm_ids"])
    weights = tf.constant(batch["masked_lm_weights"])
    model, optimizer = _parts(config, policy), _optimizer()
    model(features)
    variables = [v for v in model.trainable_variables if "pooler" not in v.name]

    def forward(_):
        logits = model(features, training=True)["mlm_logits"]
        losses = _losses(ids, logits)
        return tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)

    def apply(gradients):
        pairs = zip(gradients, variables, strict=True)
        optimizer.apply_gradients([p for p in pairs if p[0] is not None])

    return steps.run_step(forward, variables, apply)


def fit(config: BertConfig, policy: str, batch: dict) -> steps.Run:
    """`fit` of a tf_keras model of its layers."""
    features = steps.renamed(batch, NAMES)
    inputs = {
        name: tf_keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)
        for name, tensor in features.items()
    }
    logits = _parts(config, policy)(inputs)["mlm_logits"]
    model = tf_keras.Model(inputs, logits)
    model.compile(_optimizer(), _losses)
    return steps.run_fit(
        model,
        features,
        tf.constant(batch["masked_lm_ids"]),
        tf.constant(batch["masked_lm_weights"]),
    )


def _parts(config: BertConfig, policy: str):
    tf_keras.mixed_precision.set_global_policy(policy)
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
    return modeling.models.BertPretrainerV2(
        encoder, mlm_activation=tf_keras.activations.gelu
    )


def _losses(ids, logits):
    return tf_keras.losses.sparse_categorical_crossentropy(
        ids, tf.cast(logits, tf.float32), from_logits=True
    )


def _optimizer() -> AdamWeightDecay:
    return AdamWeightDecay(
        steps.LEARNING_RATE,
        epsilon=steps.EPSILON,
        weight_decay_rate=steps.DECAY,
        exclude_from_weight_decay=["LayerNorm", "layer_norm", "bias"],
        gradient_clip_norm=0.0,
    )
