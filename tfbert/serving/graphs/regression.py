"""Sentences and pairs of sentences to a number.

Legend: B batch, H hidden.
"""

from tfbert.serving.graphs.sentence_servable import sentence_servable
from tfbert.serving.graphs.servable import Servable


def regressor(
    task, tokenizer, max_length: int, pairs: bool = False
) -> Servable:
    """A servable that gives sentences or pairs of sentences a score.

    Its signature `serving_default` maps `text` (pairs: `text_a` and
    `text_b`), string [B], to `score`, float32 [B]. `embed` is `embedder`'s.

    Args:
      task: a RegressionTask.
      tokenizer: the Tokenizer that it was trained with.
      max_length: longest sequence in tokens; longer text is truncated.
      pairs: whether the input is two sentences.

    Raises:
      UserError: of pairs, if the encoder has one segment.
    """

    def answer(outputs):
        return {"score": outputs["scores"]}

    shapes = {"scores": [None]}
    return sentence_servable(task, tokenizer, max_length, pairs, shapes, answer)
