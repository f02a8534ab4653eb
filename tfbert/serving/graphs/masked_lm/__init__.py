"""Strings in, what a masked LM says of them out: fills, and how likely."""
