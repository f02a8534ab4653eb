"""ELECTRA (Clark et al. 2020): the options are those of `tfbert pretrain`.

python docs/examples/electra.py --data.records records --runtime.run_dir run
"""

import dataclasses

import tensorflow as tf
from keras import ops

import tfbert
from tfbert.layers.dense import Dense
from tfbert.layers.heads import MaskedLMHead
from tfbert.tasks.task import Task, accuracy_sums
from trainers import pretrain

DETECTION_WEIGHT = 50.0  # lambda of the paper, section 2


class Electra(Task):
    """A small generator fills masks; the encoder finds what it replaced."""

    def __init__(self, config, *, dtype=None, seed=0, name="electra"):
        super().__init__(config, dtype=dtype, seed=seed, name=name)
        # A third to a quarter of the encoder's width (section 3.2).
        heads = max(config.num_attention_heads // 4, 1)
        small = dataclasses.replace(
            config,
            num_attention_heads=heads,
            hidden_size=heads * config.head_size,
            intermediate_size=config.intermediate_size // 4,
        )
        options = {"dtype": self.dtype_policy, "seed": seed}
        self.generator = tfbert.BertEncoder(small, name="generator", **options)
        self.masked_lm = MaskedLMHead(small, **options)
        self.detector = Dense(
            config, config.hidden_size, 1, name="detector", **options
        )
        self.detector.build()

    def call(self, batch, training=False, dropout_seed=None):
        seed = ops.zeros(2, "int32") if dropout_seed is None else dropout_seed
        table = self.generator.embeddings.token_embeddings
        draft = self.generator(batch, training=training, dropout_seed=seed + 1)
        positions, labels = batch["masked_lm_positions"], batch["masked_lm_ids"]
        hidden = self.masked_lm(draft["sequence_output"], positions)
        losses, answers = self.masked_lm.losses(hidden, table, labels)
        logits = ops.cast(self.masked_lm.logits(hidden, table), "float32")
        # Gumbel noise makes the most probable id a sample; no gradient
        # passes through it (section 2).
        noise = tf.random.stateless_uniform(logits.shape, seed, 1e-6, 1 - 1e-6)
        samples = ops.argmax(logits - ops.log(-ops.log(noise)), axis=-1)
        # [B, P, S]: which slot fills which place; slots without weight none.
        length = batch["input_ids"].shape[1]
        slots = ops.one_hot(positions, length, dtype="int32")
        slots *= ops.cast(batch["masked_lm_weights"] > 0, "int32")[..., None]
        kept = batch["input_ids"] * (1 - ops.sum(slots, axis=1))
        filled = ops.cast(samples, "int32")[..., None] * slots
        corrupted = kept + ops.sum(filled, axis=1)  # [B, S]
        original = kept + ops.sum(labels[..., None] * slots, axis=1)
        inputs = {**batch, "input_ids": corrupted}
        encoded = self.encoder(
            inputs, training=training, dropout_seed=dropout_seed
        )
        found = self.detector(encoded["sequence_output"])[..., 0]
        return {
            "masked_lm_losses": losses,  # [B, P]
            "masked_lm_answers": answers,  # [B, P]
            "detector_logits": ops.cast(found, "float32"),  # [B, S]
            "replaced": ops.cast(corrupted != original, "int32"),  # [B, S]
        }

    def loss_weights(self, batch):
        return {
            "masked_lm_loss": ops.sum(batch["masked_lm_weights"]),
            "detection_loss": ops.sum(ops.cast(batch["input_mask"], "float32")),
        }

    def loss_sums(self, batch, outputs):
        losses = outputs["masked_lm_losses"] * batch["masked_lm_weights"]
        logits = outputs["detector_logits"]
        replaced = ops.cast(outputs["replaced"], "float32")
        detection = ops.softplus(logits) - logits * replaced
        detection *= ops.cast(batch["input_mask"], "float32")
        return {
            "masked_lm_loss": ops.sum(losses),
            "detection_loss": DETECTION_WEIGHT * ops.sum(detection),
        }

    def metric_sums(self, batch, outputs):
        found, replaced = outputs["detector_logits"] > 0, outputs["replaced"]
        return {
            "accuracy": accuracy_sums(found, replaced, batch["input_mask"]),
            "recall": accuracy_sums(found, replaced, replaced),
        }


if __name__ == "__main__":
    pretrain.main(task_class=Electra)
