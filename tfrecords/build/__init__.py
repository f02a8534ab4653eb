"""Documents in, rows of token ids in shards out."""
