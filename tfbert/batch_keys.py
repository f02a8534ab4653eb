"""Names of what a model reads, as the records of 2018 spell them."""

# What all tasks read, int32 [B, S]: ids, 1 for tokens and 0 for padding, and
# 1 for the second of two texts.
TOKEN_KEYS = ("input_ids", "input_mask", "segment_ids")
