"""Sentences and pairs of sentences to a number.

Legend: B batch, H hidden.
"""

from tfbert.serving.graphs.sentence_servable import sentence_servable
from tfbert.serving.graphs.servable import Servable
from tfbert.text.windows.long_texts import CUT, LongTexts


def regressor(
    task,
    tokenizer,
    max_length: int,
    pairs: bool = False,
    long_texts: LongTexts = CUT,
) -> Servable:
    """A servable that gives sentences or pairs of sentences a score.

    Its signature `serving_default` maps `text` (pairs: `text_a` and
    `text_b`), string [B], to `score`, float32 [B]. `embed` is `embedder`'s.

    Args:
      task: a RegressionTask.
      tokenizer: the Tokenizer that it was trained with.
      max_length: of a row, in tokens.
      pairs: whether the input is two sentences.
      long_texts: how texts are read that are longer than a row.

    Raises:
      UserError: of pairs, if the encoder has one segment.
    """

    def answer(outputs):
        return {"score": outputs["scores"]}

    shapes = {"scores": [None]}
    return sentence_servable(
        task,
        tokenizer,
        max_length,
        pairs,
        shapes,
        answer,
        long_texts=long_texts,
    )
