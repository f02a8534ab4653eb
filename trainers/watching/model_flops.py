"""Floating-point operations that a training step needs, by formula.

Only matrix products are counted; one multiplies and adds, so a product of
[a, b] and [b, c] is 2abc operations. For one token and one block these are
the four projections of attention (4 H^2), the scores and their sum over the
values (2 S H) and the two feed-forward layers (2 H I). The backward pass
takes twice the forward pass (Kaplan et al. 2020, "Scaling Laws for Neural
Language Models", section 2.1). What recomputation adds is not counted, so
that the share of the device's rate is a "model FLOPs utilisation" as in
Chowdhery et al. 2022, "PaLM", appendix B. Layer norms, softmax, activations,
embedding look-ups and the optimizer are left out; they are a few percent.

Letters: S sequence length, H hidden size, I intermediate size, V vocabulary.
"""

from tfbert.config import BertConfig

# Forward pass, and a backward pass of twice its operations.
FORWARD_AND_BACKWARD = 3


def flops_per_token(config: BertConfig, sequence_length: int) -> int:
    """Operations of all blocks for one token of a row of S tokens."""
    hidden, inner = config.hidden_size, config.intermediate_size
    block = 2 * (
        4 * hidden * hidden + 2 * sequence_length * hidden + 2 * hidden * inner
    )
    return FORWARD_AND_BACKWARD * config.num_hidden_layers * block


def flops_per_masked_token(config: BertConfig) -> int:
    """Operations of the masked-LM head for one prediction."""
    hidden = config.hidden_size
    head = 2 * (hidden * hidden + hidden * config.vocab_size)
    return FORWARD_AND_BACKWARD * head


def step_flops(
    config: BertConfig, rows: int, sequence_length: int, predictions: int
) -> int:
    """Operations of a masked-LM step on `rows` full rows.

    Args:
      config: the encoder's shape.
      rows: rows of the batch.
      sequence_length: S, tokens of a row.
      predictions: masked tokens of a row.
    """
    tokens = rows * sequence_length
    return tokens * flops_per_token(
        config, sequence_length
    ) + rows * predictions * flops_per_masked_token(config)
