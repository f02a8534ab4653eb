"""A question and its choices to the one that fits.

Legend: B batch, K choices, S sequence.
"""

import tensorflow as tf

from tfbert.serving.graphs.checked_inputs import signature
from tfbert.serving.graphs.embedding import embed_function
from tfbert.serving.graphs.segments import check_segments
from tfbert.serving.graphs.servable import (
    STRINGS,
    Servable,
    encode,
    on_text,
    run_in_parts,
)
from tfbert.tasks.multiple_choice import NEVER, among_choices

_CHOICES = tf.TensorSpec([None, None], tf.string)


def chooser(
    task, tokenizer, max_length: int, temperature: float = 1.0
) -> Servable:
    """A servable that chooses.

    Its signature `serving_default` maps `question`, string [B], and
    `choices`, string [B, K], to `choice`, int32 [B], the place of the
    likeliest, `answer`, string [B], its text, and `probabilities`, float32
    [B, K]. An empty string is no choice: it fills questions up that have
    fewer than others; its probability is 0. `embed` is `embedder`'s.

    Args:
      task: a MultipleChoiceTask.
      tokenizer: the Tokenizer that it was trained with.
      max_length: longest sequence of a question and a choice in tokens;
        longer text is truncated.
      temperature: what logits are divided by for the probabilities; the
        answers stay as they are.

    Raises:
      UserError: the encoder has one segment.
    """
    check_segments(task, "questions with choices")

    def of_choices(batch, training):
        # Each row is the only choice of a question.
        rows = {name: value[:, None] for name, value in batch.items()}
        mask = tf.ones_like(rows["input_ids"][:, :, 0])
        return task({**rows, "choice_mask": mask}, training=training)

    def probabilities(logits):
        there = logits > NEVER / 2
        return tf.where(there, tf.nn.softmax(logits / temperature), 0.0)

    @signature(STRINGS, _CHOICES)
    def choose(question, choices):
        # Without any choice the answer is the empty one.
        missing = tf.maximum(1 - tf.shape(choices)[1], 0)
        choices = tf.pad(choices, [[0, 0], [0, missing]], constant_values="")
        shape = tf.shape(choices)  # B, K
        asked = tf.repeat(question, shape[1])  # [B K]
        answers = tf.reshape(choices, [-1])
        batch = encode(tokenizer, max_length, asked, answers)
        scores = run_in_parts(of_choices, batch, {"logits": [None, 1]})
        mask = tf.cast(tf.not_equal(choices, ""), tf.int32)
        logits = among_choices(scores["logits"], mask)["logits"]
        best = tf.argmax(logits, axis=-1, output_type=tf.int32)
        answer = tf.gather(choices, best, batch_dims=1)
        return {
            "choice": best,
            # A client that gave bytes which are no UTF-8 gets U+FFFD for them.
            "answer": tf.strings.unicode_transcode(answer, "UTF-8", "UTF-8"),
            "probabilities": probabilities(logits),
        }

    embed = embed_function(task.encoder, tokenizer, max_length)
    signatures = {"serving_default": choose, "embed": on_text(embed)}
    own = None if temperature == 1.0 else probabilities
    return Servable(task, tokenizer, signatures, own)
