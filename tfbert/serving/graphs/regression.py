"""Sentences and pairs of sentences to a number.

Legend: B batch, H hidden.
"""

from tfbert.serving.graphs.embedding import embed_function
from tfbert.serving.graphs.segments import check_segments
from tfbert.serving.graphs.servable import (
    Servable,
    encode,
    on_pairs,
    on_text,
    run_in_parts,
)


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

    if pairs:
        check_segments(task, "pairs of texts")

    def score(text_a, text_b=None):
        batch = encode(tokenizer, max_length, text_a, text_b)
        scores = run_in_parts(task, batch, {"scores": [None]})["scores"]
        return {"score": scores}

    embed = embed_function(task.encoder, tokenizer, max_length)
    signatures = {
        "serving_default": on_pairs(score) if pairs else on_text(score),
        "embed": on_text(embed),
    }
    return Servable(task, tokenizer, signatures)
