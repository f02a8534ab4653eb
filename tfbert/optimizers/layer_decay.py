"""Layer-wise learning-rate decay: lower layers learn more slowly."""

import re

_BLOCK = re.compile(r"(?:^|/)(block_\d+)/")


def layer_group(path: str) -> str:
    """The group of layers of the variable at `path`.

    Returns:
      "embeddings", "block_0", ... or "heads", which the pooler belongs to.
    """
    block = _BLOCK.search(path)
    if block:
        return block[1]
    return "embeddings" if "/embeddings/" in f"/{path}" else "heads"


def layer_rate(path: str, num_layers: int, decay: float) -> float:
    """The factor of the learning rate of the variable at `path`.

    Clark et al. 2020 (ELECTRA), section 3.1 and appendix B, after Howard &
    Ruder 2018, section 3.2: the heads and the pooler have the full rate, block
    i of L has decay^(L - i) (the topmost, i = L - 1, has decay^1), and the
    embeddings have decay^(L + 1).

    Args:
      path: of a variable in a task.
      num_layers: L.
      decay: 1 gives every layer the full rate.
    """
    group = layer_group(path)
    if group == "heads":
        return 1.0
    if group == "embeddings":
        return decay ** (num_layers + 1)
    return decay ** (num_layers - int(group.removeprefix("block_")))
