"""Labelled rows, and an encoder that learns them in a few steps."""

TINY = {
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 16,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    # Large weights, so that few steps tell the words apart.
    "initializer_range": 0.2,
}
ROWS = [
    {"text": f"the film was {word}", "label": label}
    for label, words in {
        "good": ["good", "fun"],
        "bad": ["bad", "dull"],
    }.items()
    for word in words
] * 4
