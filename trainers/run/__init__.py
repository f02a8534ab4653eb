"""A model and batches in, a trained run out, first step to last."""
