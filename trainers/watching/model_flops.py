"""Floating-point operations that a training step needs, by formula.

Only matrix products are counted; one multiplies and adds, so a product of
[a, b] and [b, c] is 2abc operations. For one token and one block these are
the four projections of attention (4 H^2), the scores and their sum over the
values (2 S H) and the two feed-forward layers (2 H I). The last block needs
the keys and values of all tokens, and the rest of those that are read: the
masked ones, or the first of a row. The backward pass
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


def flops_per_token(
    config: BertConfig, sequence_length: int, read: float = 1.0
) -> float:
    """Operations of all blocks for one token of a row of S tokens.

    Args:
      config: the encoder's shape.
      sequence_length: S.
      read: the share of the tokens whose outputs are read.
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    keys_and_values = 4 * hidden * hidden
    rest = 4 * hidden * (hidden + sequence_length + inner)
    blocks = config.num_hidden_layers * (keys_and_values + rest)
    return FORWARD_AND_BACKWARD * (blocks - (1 - read) * rest)


def flops_per_masked_token(config: BertConfig) -> int:
    """Operations of the masked-LM head for one prediction."""
    hidden = config.hidden_size
    head = 2 * (hidden * hidden + hidden * config.vocab_size)
    return FORWARD_AND_BACKWARD * head


def step_flops(
    config: BertConfig, rows: int, sequence_length: int, predictions: int
) -> float:
    """Operations of a masked-LM step on `rows` full rows.

    Args:
      config: the encoder's shape.
      rows: rows of the batch.
      sequence_length: S, tokens of a row.
      predictions: masked tokens of a row; 0: the encoder alone, all of whose
        outputs are read.
    """
    tokens = rows * sequence_length
    read = predictions / sequence_length if predictions else 1.0
    return tokens * flops_per_token(
        config, sequence_length, read
    ) + rows * predictions * flops_per_masked_token(config)
