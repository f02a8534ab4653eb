"""How much memory a training step takes, by formula.

Letters: B rows of a micro-batch, S sequence length, H hidden size, N heads,
P predictions of a row, V vocabulary, L blocks, e bytes of an activation.

What a block keeps for its backward pass is, for e = 2,

    S B H (34 + 5 N S / H) bytes

(Korthikanti et al. 2022, "Reducing Activation Recomputation in Large
Transformer Models", section 4.1): 16 values and two dropout masks of one byte
for each number of [B, S, H], and two values and one mask for each attention
probability [B, N, S, S]. Other e give S B H (16 e + 2 + (2 e + 1) N S / H).
The formula assumes I = 4 H and no fused attention; what a framework keeps
besides, it leaves out, so take the sum as a lower bound.
"""

import dataclasses

from tfbert.config import BertConfig


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on one device.

    Attributes:
      weights: of the variables, in float32.
      optimizer: of the optimizer's variables.
      gradients: one number for each weight, in float32.
      average: of averaged weights, if any.
      activations: of one micro-batch.
    """

    weights: int
    optimizer: int
    gradients: int
    average: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(dataclasses.astuple(self))


def activation_bytes(
    config: BertConfig,
    rows: int,
    sequence_length: int,
    predictions: int,
    element_bytes: int,
    recompute: bool = False,
) -> int:
    """What the forward pass keeps for the backward pass.

    Args:
      config: the encoder's shape.
      rows: B, of a micro-batch on one device.
      sequence_length: S.
      predictions: P; 0 without a masked-LM head.
      element_bytes: e, 4 for float32 and 2 for bfloat16 and float16.
      recompute: each block keeps its input alone, and one at a time is
        computed again.
    """
    places, pairs = rows * sequence_length, rows * sequence_length**2
    blocks = block_bytes(config, places, pairs, element_bytes, recompute)
    # Logits of the masked tokens, and their gradient.
    head = 2 * rows * predictions * config.vocab_size * element_bytes
    return blocks + head


def block_bytes(
    config: BertConfig,
    places: int,
    pairs: int,
    element_bytes: int,
    recompute: bool = False,
) -> int:
    """What the blocks keep, of rows of any lengths.

    Args:
      config: the encoder's shape.
      places: B S of rows of one length; else of all rows together.
      pairs: of places within a row, B S^2; likewise.
      element_bytes, recompute: see activation_bytes.
    """
    layers, hidden = config.num_hidden_layers, config.hidden_size
    states = places * hidden
    scores = pairs * config.num_attention_heads
    block = states * (16 * element_bytes + 2) + scores * (2 * element_bytes + 1)
    blocks = layers * block
    if recompute:
        blocks = layers * states * element_bytes + block
    return blocks


def num_parameters(config: BertConfig) -> int:
    """Parameters of the encoder and the masked-LM head.

    The head's output matrix is the table of token embeddings.
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    norm = 2 * hidden
    positions = config.max_position_embeddings
    if config.position_embedding_type != "learned":
        positions = 0
    embeddings = (
        config.vocab_size + config.type_vocab_size + positions
    ) * hidden + norm
    block = 4 * (hidden + 1) * hidden + 2 * norm
    block += (hidden + 1) * inner + (inner + 1) * hidden
    dense = (hidden + 1) * hidden
    pooler, head = dense, dense + norm + config.vocab_size
    return embeddings + config.num_hidden_layers * block + pooler + head
