"""Which variables weight decay leaves out."""


def decays(path: str) -> bool:
    """Returns whether weight decay applies to the variable at `path`.

    BERT decays matrices and tables, not biases and layer norms (Devlin et
    al. 2018, appendix A.2; `exclude_from_weight_decay` in its code). The rule
    looks at the whole path: at "block_0/attention_layer_norm/gamma", not only
    at its last part.
    """
    *folders, leaf = path.lower().split("/")
    if leaf.endswith("bias") or leaf in ("gamma", "beta"):
        return False
    return not any(
        "layer_norm" in part or "layernorm" in part for part in folders
    )
