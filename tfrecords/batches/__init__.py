"""Records in, batches out: which row stands where is arithmetic."""
