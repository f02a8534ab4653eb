"""Batches in, one update of the weights out, on any number of replicas."""
