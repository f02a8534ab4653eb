"""Texts to compare in, rows of ids and keys of equal texts out."""
