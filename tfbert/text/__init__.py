"""Text in, token ids out: the tokenizer, its settings, its rows."""
