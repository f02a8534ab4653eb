"""A question and its choices to the one that fits.

Legend: B batch, K choices, S sequence.
"""

import tensorflow as tf

from tfbert.serving.graphs.checked_inputs import signature
from tfbert.serving.graphs.embedding import embed_function
from tfbert.serving.graphs.segments import check_segments
from tfbert.serving.graphs.sentence_servable import outputs_of
from tfbert.serving.graphs.servable import (
    STRINGS,
    Servable,
    on_text,
    read,
    run_in_parts,
)
from tfbert.tasks.multiple_choice import NEVER, among_choices
from tfbert.text.windows.long_texts import CUT, WINDOWS, LongTexts
from tfbert.text.windows.texts import TextRows

_CHOICES = tf.TensorSpec([None, None], tf.string)


def chooser(
    task,
    tokenizer,
    max_length: int,
    temperature: float = 1.0,
    long_texts: LongTexts = CUT,
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
      max_length: of a row of a question and a choice, in tokens.
      temperature: what logits are divided by for the probabilities; the
        answers stay as they are.
      long_texts: how texts are read that are longer than a row.

    Raises:
      UserError: the encoder has one segment.
    """
    check_segments(task, "questions with choices")

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
        if long_texts.how == WINDOWS:
            # What is no choice should not take the question's windows.
            asked = tf.where(tf.equal(answers, ""), "", asked)
        mask = tf.cast(tf.not_equal(choices, ""), tf.int32)
        rows = read(tokenizer, max_length, asked, answers, long_texts)
        logits = _logits(task, rows, mask, long_texts)
        best = tf.argmax(logits, axis=-1, output_type=tf.int32)
        answer = tf.gather(choices, best, batch_dims=1)
        return {
            "choice": best,
            # A client that gave bytes which are no UTF-8 gets U+FFFD for them.
            "answer": tf.strings.unicode_transcode(answer, "UTF-8", "UTF-8"),
            "probabilities": probabilities(logits),
        }

    reading = {"max_length": max_length, "long_texts": long_texts}
    embed = embed_function(task.encoder, tokenizer, **reading)
    signatures = {"serving_default": choose, "embed": on_text(embed)}
    own = None if temperature == 1.0 else probabilities
    return Servable(task, tokenizer, signatures, own)


def _logits(
    task, rows: TextRows, mask: tf.Tensor, long_texts: LongTexts
) -> tf.Tensor:
    """The logits [B, K] of the rows of choices, in their order.

    Args:
      task: a MultipleChoiceTask.
      rows: of questions with choices, B K texts.
      mask: int32 [B, K], 0 for choices that there are not.
      long_texts: how the texts were read.
    """
    if long_texts.how == WINDOWS:
        more = {"choice_mask": mask}
        return outputs_of(task, rows, {}, long_texts, **more)["logits"]

    def of_choices(batch, training):
        # Each row is the only choice of a question.
        own = {name: value[:, None] for name, value in batch.items()}
        only = tf.ones_like(own["input_ids"][:, :, 0])
        return task({**own, "choice_mask": only}, training=training)

    scores = run_in_parts(of_choices, rows.batch, {"logits": [None, 1]})
    return among_choices(scores["logits"], mask)["logits"]
